# The libraries that are installed. Each layer is a static library of its own (CertpostCompiler.cmake), whose
# functions see each other. A user must see the public functions and nothing else: neither from the shared
# library nor from the static one, where a name like `buffer_append` would clash with the user's own. So
# what the public functions need is linked into one object, in which every other name is made local; both
# libraries are that object.

# The version of the binary interface: part of the shared libraries' names and of their symbols' version.
# When it changes, and when it must not: docs/install.md, "Versions".
set(CERTPOST_SOVERSION 0)

# certpost_library(NAME SYMBOLS file LAYERS targets… LINKS shared… HEADERS files…): the targets
# NAME_shared and NAME_static. SYMBOLS lists the public functions, one on each line.
function(certpost_library name)
  cmake_parse_arguments(LIBRARY "" "OUTPUT_NAME;SYMBOLS" "LAYERS;LINKS" ${ARGN})
  set(folder "${CMAKE_CURRENT_BINARY_DIR}/${name}")
  set(object "${folder}/${LIBRARY_OUTPUT_NAME}.o")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${LIBRARY_SYMBOLS}")
  file(STRINGS "${LIBRARY_SYMBOLS}" symbols REGEX "^certpost_")
  list(TRANSFORM symbols PREPEND "-Wl,--undefined=" OUTPUT_VARIABLE wanted)
  list(TRANSFORM LIBRARY_LAYERS REPLACE "(.+)" "$<TARGET_FILE:\\1>" OUTPUT_VARIABLE archives)
  add_custom_command(
    OUTPUT "${object}"
    COMMAND ${CMAKE_COMMAND} -E make_directory "${folder}"
    COMMAND ${CMAKE_C_COMPILER} -r -nostdlib -o "${object}" ${wanted} -Wl,--start-group ${archives}
            -Wl,--end-group
    COMMAND ${CMAKE_OBJCOPY} --remove-section=.comment "--keep-global-symbols=${LIBRARY_SYMBOLS}" "${object}"
    DEPENDS ${LIBRARY_LAYERS} "${LIBRARY_SYMBOLS}"
    COMMENT "Linking ${LIBRARY_OUTPUT_NAME}.o"
    VERBATIM)
  set_source_files_properties("${object}" PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
  # The shared library's build waits for the static one's, so that the object is made once.
  _certpost_static_library(${name} "${object}")
  _certpost_shared_library(${name} "${object}" "${symbols}")
  add_dependencies(${name}_shared ${name}_static)
endfunction()

function(_certpost_static_library name object)
  add_library(${name}_static STATIC "${object}")
  set_target_properties(
    ${name}_static
    PROPERTIES LINKER_LANGUAGE C
               OUTPUT_NAME ${LIBRARY_OUTPUT_NAME}
               ARCHIVE_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")
endfunction()

function(_certpost_shared_library name object symbols)
  set(script "${CMAKE_CURRENT_BINARY_DIR}/${name}.map")
  list(JOIN symbols ";\n        " lines)
  file(CONFIGURE OUTPUT "${script}" CONTENT "CERTPOST_${CERTPOST_SOVERSION} {\n    global:\n        ${lines};\n    local:\n        *;\n};\n")
  add_library(${name}_shared SHARED "${object}")
  # Not to be unloaded: a thread that looks a name up can outlive its client until the system's resolver
  # returns (certpost/client.h), and needs its code until then.
  target_link_options(${name}_shared PRIVATE "-Wl,--version-script=${script}" -Wl,--no-undefined -Wl,-z,nodelete)
  target_link_libraries(${name}_shared PRIVATE certpost_compiler ${LIBRARY_LINKS})
  set_target_properties(
    ${name}_shared
    PROPERTIES LINKER_LANGUAGE C
               OUTPUT_NAME ${LIBRARY_OUTPUT_NAME}
               VERSION ${PROJECT_VERSION}
               SOVERSION ${CERTPOST_SOVERSION}
               LINK_DEPENDS "${script}"
               LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")
endfunction()
