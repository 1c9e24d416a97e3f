# cmake --install: what goes where. The components are the Debian packages (CertpostPackage.cmake).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# A Debian package has its documents in a folder of its own name, and its man pages compressed.
option(CERTPOST_PACKAGE "Lay files out as Debian packages have them, and make those (scripts/package)" OFF)
set(CERTPOST_UNIT_DIR "lib/systemd/system" CACHE STRING "Where systemd's units go, below the prefix")
# GNUInstallDirs means /etc below /usr as well.
if(CMAKE_INSTALL_PREFIX STREQUAL "/usr")
  set(CERTPOST_CONFIG_DIR /etc/certpost)
else()
  set(CERTPOST_CONFIG_DIR "${CMAKE_INSTALL_SYSCONFDIR}/certpost")
endif()

# ---- programs and libraries ----

install(TARGETS certpost_cli RUNTIME COMPONENT client)
install(TARGETS certpostd RUNTIME DESTINATION "${CMAKE_INSTALL_SBINDIR}" COMPONENT server)

set(CERTPOST_CMAKE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/certpost")

# certpost_install_library(TARGET EXPORT-SET NAME RUNTIME-COMPONENT DEVELOPMENT-COMPONENT): one library, under
# the name that users link, in a file of its own: who has not installed one of them is not told that it is missing.
function(certpost_install_library target set name runtime development)
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  target_include_directories(${target} INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  install(
    TARGETS ${target}
    EXPORT certpost-${set}-targets
    LIBRARY COMPONENT ${runtime} NAMELINK_COMPONENT ${development}
    ARCHIVE COMPONENT ${development})
  install(
    EXPORT certpost-${set}-targets
    NAMESPACE certpost::
    DESTINATION "${CERTPOST_CMAKE_DIR}"
    COMPONENT ${development})
endfunction()

# certpost/tls_io.h is about the user's own OpenSSL objects: who calls it links OpenSSL anyway.
target_link_libraries(certpost_shared INTERFACE OpenSSL::SSL OpenSSL::Crypto)
target_link_libraries(certpost_static INTERFACE OpenSSL::SSL OpenSSL::Crypto Threads::Threads
                                                $<INSTALL_INTERFACE:SQLite::SQLite3>)
# The statuses and errors in the server's header are libcertpost's.
target_link_libraries(certpost_server_shared INTERFACE certpost_shared)
target_link_libraries(certpost_server_static INTERFACE certpost_static
                                                       $<INSTALL_INTERFACE:PkgConfig::CERTPOST_LIBUV>
                                                       $<INSTALL_INTERFACE:PkgConfig::CERTPOST_MICROHTTPD>
                                                       $<INSTALL_INTERFACE:PkgConfig::CERTPOST_SECCOMP>)
certpost_install_library(certpost_shared shared certpost library development)
certpost_install_library(certpost_static static certpost-static library development)
certpost_install_library(certpost_server_shared server server server_library server_development)
certpost_install_library(certpost_server_static server-static server-static server_library server_development)

# ---- headers, and how to find the libraries ----

set(headers client.h error.h status.h tls_io.h)
list(TRANSFORM headers PREPEND "${PROJECT_SOURCE_DIR}/include/certpost/")
install(FILES ${headers} "${PROJECT_BINARY_DIR}/include/certpost/version.h"
        DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/certpost" COMPONENT development)
install(FILES "${PROJECT_SOURCE_DIR}/include/certpost/server.h"
        DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/certpost" COMPONENT server_development)

configure_package_config_file(
  "${PROJECT_SOURCE_DIR}/cmake/certpost-config.cmake.in" "${PROJECT_BINARY_DIR}/package/certpost-config.cmake"
  INSTALL_DESTINATION "${CERTPOST_CMAKE_DIR}"
  NO_SET_AND_CHECK_MACRO)
# 0.x promises nothing to the next minor version.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/package/certpost-config-version.cmake"
                                 COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/package/certpost-config.cmake"
              "${PROJECT_BINARY_DIR}/package/certpost-config-version.cmake"
        DESTINATION "${CERTPOST_CMAKE_DIR}" COMPONENT development)

# Relative to where the .pc file lies, so that a prefix can be moved; an absolute folder stays what it is.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}" OR IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
  set(CERTPOST_PC_PREFIX "${CMAKE_INSTALL_PREFIX}")
  set(CERTPOST_PC_LIBDIR "${CMAKE_INSTALL_FULL_LIBDIR}")
  set(CERTPOST_PC_INCLUDEDIR "${CMAKE_INSTALL_FULL_INCLUDEDIR}")
else()
  file(RELATIVE_PATH up "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
  string(REGEX REPLACE "/$" "" up "${up}")
  set(CERTPOST_PC_PREFIX "\${pcfiledir}/${up}")
  set(CERTPOST_PC_LIBDIR "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
  set(CERTPOST_PC_INCLUDEDIR "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
foreach(pair IN ITEMS "certpost development" "certpost-server server_development")
  separate_arguments(pair)
  list(POP_FRONT pair library component)
  configure_file("${PROJECT_SOURCE_DIR}/cmake/${library}.pc.in" "${PROJECT_BINARY_DIR}/package/${library}.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/package/${library}.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig"
          COMPONENT ${component})
endforeach()

# ---- documents ----

set(examples_dir "${CMAKE_INSTALL_DOCDIR}/examples")
if(CERTPOST_PACKAGE)
  set(examples_dir share/doc/libcertpost-dev/examples)
endif()

# certpost_man_pages(COMPONENT pages…)
function(certpost_man_pages component)
  foreach(page IN LISTS ARGN)
    get_filename_component(name "${page}" NAME)
    string(REGEX REPLACE ".*\\.([0-9])$" "\\1" section "${name}")
    if(CERTPOST_PACKAGE)
      set(compressed "${PROJECT_BINARY_DIR}/package/${name}.gz")
      add_custom_command(OUTPUT "${compressed}" DEPENDS "${page}" VERBATIM
                         COMMAND sh -c "gzip -9nc \"$1\" >\"$2\"" sh "${page}" "${compressed}")
      add_custom_target(certpost_man_${name} ALL DEPENDS "${compressed}")
      set(page "${compressed}")
    endif()
    install(FILES "${page}" DESTINATION "${CMAKE_INSTALL_MANDIR}/man${section}" COMPONENT ${component})
  endforeach()
endfunction()

file(GLOB pages CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/man/*.1")
certpost_man_pages(client ${pages})
file(GLOB pages CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/man/*.5" "${PROJECT_SOURCE_DIR}/man/*.8")
certpost_man_pages(server ${pages})
file(GLOB pages CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/man/*.3")
certpost_man_pages(development ${pages})

# certpost_examples(FOLDER COMPONENT)
function(certpost_examples folder component)
  file(GLOB examples CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/examples/*.c")
  install(FILES ${examples} DESTINATION "${folder}" COMPONENT ${component})
  install(DIRECTORY "${PROJECT_SOURCE_DIR}/examples/consumer" DESTINATION "${folder}" COMPONENT ${component})
endfunction()

# certpost_documents(FOLDER files…): into this folder of the documents.
function(certpost_documents folder)
  install(FILES ${ARGN} DESTINATION "${CMAKE_INSTALL_DOCDIR}/${folder}" COMPONENT client)
endfunction()

# Laid out as in the sources, with what they link to: a link leads to its file here as well.
file(GLOB documents CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/docs/*.md")
certpost_documents(docs ${documents})
file(GLOB pages CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/man/*.[1-8]")
certpost_documents(man ${pages})
certpost_documents(include/certpost "${PROJECT_SOURCE_DIR}/include/certpost/client.h")
foreach(document IN ITEMS README.md SECURITY.md CONTRIBUTING.md CHANGELOG.md)
  certpost_documents(. "${PROJECT_SOURCE_DIR}/${document}")
endforeach()
certpost_examples("${examples_dir}" development)
if(CERTPOST_PACKAGE)
  # The examples are for building, in the package that has the headers, and here for reading.
  certpost_examples("${CMAKE_INSTALL_DOCDIR}/examples" client)
  # Debian's name for the license.
  file(CREATE_LINK copyright "${PROJECT_BINARY_DIR}/package/LICENSE" SYMBOLIC)
  certpost_documents(. "${PROJECT_BINARY_DIR}/package/LICENSE")
else()
  certpost_documents(. "${PROJECT_SOURCE_DIR}/LICENSE")
endif()

# ---- the service, configuration, completions ----

# Units that name programs are made for the prefix by packaging/systemd/CMakeLists.txt; the others are as they are.
file(GLOB units CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/packaging/systemd/*")
foreach(unit IN LISTS units)
  get_filename_component(name "${unit}" NAME)
  if(NOT name MATCHES "\\.(service|socket|timer|path)(\\.in)?$")
    continue()
  endif()
  if(name MATCHES "\\.in$")
    string(REGEX REPLACE "\\.in$" "" name "${name}")
    set(unit "${PROJECT_BINARY_DIR}/packaging/systemd/${name}")
  endif()
  if(name MATCHES "^certpost-spool")
    install(FILES "${unit}" DESTINATION "${CERTPOST_UNIT_DIR}" COMPONENT client)
  else()
    install(FILES "${unit}" DESTINATION "${CERTPOST_UNIT_DIR}" COMPONENT server)
  endif()
endforeach()
install(FILES "${PROJECT_SOURCE_DIR}/packaging/systemd/certpost.sysusers" DESTINATION lib/sysusers.d COMPONENT server
        RENAME certpost.conf)
install(FILES "${PROJECT_SOURCE_DIR}/packaging/certpostd.conf" DESTINATION "${CERTPOST_CONFIG_DIR}" COMPONENT server)

# certpost_install_if_built(COMPONENT FILE FOLDER): looked for when installing. OPTIONAL would leave empty folders.
function(certpost_install_if_built component file folder)
  install(
    CODE "if(EXISTS \"${PROJECT_BINARY_DIR}/${file}\")
  file(INSTALL \"${PROJECT_BINARY_DIR}/${file}\" DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${folder}\")
endif()"
    COMPONENT ${component})
endfunction()

# The folders are those in which each shell looks.
foreach(pair IN ITEMS "certpost client" "certpostd server")
  separate_arguments(pair)
  list(POP_FRONT pair name component)
  certpost_install_if_built(${component} completions/bash/${name} share/bash-completion/completions)
  certpost_install_if_built(${component} completions/zsh/_${name} share/zsh/vendor-completions)
  certpost_install_if_built(${component} completions/fish/${name}.fish share/fish/vendor_completions.d)
endforeach()

if(CERTPOST_PACKAGE)
  include(CertpostPackage)
endif()
