# Debian packages by CPack: one for each component of CertpostInstall.cmake. scripts/package runs it.

set(CERTPOST_MAINTAINER "" CACHE STRING "Who makes the packages: Name <address>")
# What begins with 0 comes before every revision that Debian itself may make. A bare 0 means none to CPack.
set(CERTPOST_DEBIAN_REVISION 0certpost1 CACHE STRING "The revision of the packages of this version")
if(NOT CERTPOST_MAINTAINER MATCHES "^[^<>]+ <[^<> ]+@[^<> ]+>$")
  message(FATAL_ERROR "CERTPOST_MAINTAINER must be like: Name <address@example.org>")
endif()
set(CERTPOST_DEBIAN_VERSION "${PROJECT_VERSION}-${CERTPOST_DEBIAN_REVISION}")
# SOURCE_DATE_EPOCH, where it is set; CMake looks at it by itself.
string(TIMESTAMP CERTPOST_DEBIAN_DATE "%a, %d %b %Y %H:%M:%S +0000" UTC)

set(certpost_debian "${PROJECT_SOURCE_DIR}/packaging/debian")
set(certpost_package_files "${PROJECT_BINARY_DIR}/package")

# ---- what every package has below /usr/share/doc, and what only Debian wants ----

configure_file("${certpost_debian}/changelog.in" "${certpost_package_files}/changelog.Debian" @ONLY)
foreach(pair IN ITEMS "${certpost_package_files}/changelog.Debian:changelog.Debian.gz"
                      "${PROJECT_SOURCE_DIR}/CHANGELOG.md:changelog.gz")
  string(REPLACE ":" ";" pair "${pair}")
  list(POP_FRONT pair text compressed)
  add_custom_command(
    OUTPUT "${certpost_package_files}/${compressed}"
    COMMAND sh -c "gzip -9nc \"$1\" >\"$2\"" sh "${text}" "${certpost_package_files}/${compressed}"
    DEPENDS "${text}"
    VERBATIM)
  list(APPEND certpost_changelogs "${certpost_package_files}/${compressed}")
endforeach()
add_custom_target(certpost_changelogs ALL DEPENDS ${certpost_changelogs})

# certpost_package(COMPONENT PACKAGE SECTION SUMMARY TEXT DEPENDS…): one package.
function(certpost_package component package section summary text)
  string(TOUPPER "${component}" upper)
  install(FILES "${certpost_debian}/copyright" ${certpost_changelogs} DESTINATION "share/doc/${package}"
          COMPONENT ${component})
  if(EXISTS "${certpost_debian}/${package}.README.Debian")
    install(FILES "${certpost_debian}/${package}.README.Debian" DESTINATION "share/doc/${package}"
            COMPONENT ${component} RENAME README.Debian)
  endif()
  if(EXISTS "${certpost_debian}/${package}.lintian-overrides")
    install(FILES "${certpost_debian}/${package}.lintian-overrides" DESTINATION share/lintian/overrides
            COMPONENT ${component} RENAME ${package})
  endif()
  set(control "")
  foreach(name IN ITEMS postinst prerm postrm conffiles triggers)
    if(EXISTS "${certpost_debian}/${package}.${name}")
      configure_file("${certpost_debian}/${package}.${name}" "${certpost_package_files}/${package}/${name}" COPYONLY)
      list(APPEND control "${certpost_package_files}/${package}/${name}")
    endif()
  endforeach()
  list(JOIN ARGN ", " depends)
  foreach(pair IN ITEMS NAME:package SECTION:section DEPENDS:depends CONTROL_EXTRA:control)
    string(REPLACE ":" ";" pair "${pair}")
    list(POP_FRONT pair key variable)
    set(CPACK_DEBIAN_${upper}_PACKAGE_${key} "${${variable}}" PARENT_SCOPE)
  endforeach()
  set(CPACK_DEBIAN_${upper}_DESCRIPTION "${summary}\n${text}" PARENT_SCOPE)
  set(CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_STRICT_PERMISSION ON PARENT_SCOPE)
endfunction()

set(about
    "certpost delivers messages over TLS, where each acknowledgement says that the
message is safe at the receiving program: on stable storage, once, in order.
.")
set(same "(= ${CERTPOST_DEBIAN_VERSION})")
set(so ${CERTPOST_SOVERSION})
certpost_package(client certpost net "send messages over TLS until they are acknowledged"
                 "${about}\nThis package has the client, which also reads and checks stores and receipts.")
certpost_package(
  server certpostd net "take messages over TLS and acknowledge each one when it is safe"
  "${about}\nThis package has the server."
  # It makes the user.
  "systemd | systemd-standalone-sysusers | systemd-sysusers")
set(CPACK_DEBIAN_SERVER_PACKAGE_RECOMMENDS "certpost")
certpost_package(library libcertpost${so} libs "deliver messages over TLS from a program (library)"
                 "${about}\nThis package has the client as a shared library.")
certpost_package(server_library libcertpost-server${so} libs "take messages over TLS inside a program (library)"
                 "${about}\nThis package has the server as a shared library.")
certpost_package(
  development libcertpost-dev libdevel "deliver messages over TLS from a program (development)"
  "${about}\nThis package has what it takes to build programs with libcertpost."
  "libcertpost${so} ${same}" "libssl-dev (>= 3.0)" "libsqlite3-dev (>= 3.37)" zlib1g-dev)
certpost_package(
  server_development libcertpost-server-dev libdevel "take messages over TLS inside a program (development)"
  "${about}\nThis package has what it takes to build programs with libcertpost-server."
  "libcertpost-server${so} ${same}" "libcertpost-dev ${same}" "libuv1-dev (>= 1.40)" "libmicrohttpd-dev (>= 0.9.71)"
  "libseccomp-dev (>= 2.4)")

# ---- what CPack is told ----

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME certpost)
set(CPACK_PACKAGE_VENDOR certpost)
# CPack's own default, which it leaves out: each package has a summary of its own.
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_NAME} built using CMake")
set(CPACK_DEBIAN_PACKAGE_SOURCE certpost)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_PACKAGE_CONTACT "${CERTPOST_MAINTAINER}")
set(CPACK_DEBIAN_PACKAGE_RELEASE "${CERTPOST_DEBIAN_REVISION}")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_COMPONENTS_ALL client server library server_library development server_development)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(CPACK_STRIP_FILES ON)
# Configuration is at /etc, whatever the prefix.
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
                                                WORLD_READ WORLD_EXECUTE)
include(CPack)
