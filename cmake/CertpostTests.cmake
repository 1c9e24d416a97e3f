# One ctest per test case, found by scanning the sources, so that no list can forget a case.

# How long a case may take before it counts as hung. Sanitizers and a busy machine slow it down.
set(CERTPOST_UNIT_TIMEOUT_S 60)
if(CERTPOST_SANITIZE)
  set(CERTPOST_UNIT_TIMEOUT_S 300)
endif()
set(CERTPOST_INTEGRATION_TIMEOUT_S 300)

if(CERTPOST_SANITIZE)
  set(CERTPOST_TEST_ENVIRONMENT
      "ASAN_OPTIONS=abort_on_error=1:detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1"
      "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1"
      "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1"
      "CERTPOST_SANITIZE=${CERTPOST_SANITIZE}")
endif()

# certpost_unit_test(NAME [LINKS targets…]): tests/unit/test_NAME.c, a cmocka program whose cases are
# the functions `static void test_CASE(void **state)`. Each becomes the ctest unit.NAME.CASE.
function(certpost_unit_test name)
  cmake_parse_arguments(TEST "" "" "SOURCES;LINKS" ${ARGN})
  set(source "${CMAKE_CURRENT_SOURCE_DIR}/unit/test_${name}.c")
  add_executable(test_${name} "${source}" ${TEST_SOURCES})
  target_link_libraries(test_${name} PRIVATE certpost_compiler ${TEST_LINKS} PkgConfig::CMOCKA)
  target_include_directories(test_${name} PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${source}")
  file(STRINGS "${source}" lines REGEX "^static void test_[A-Za-z0-9_]+\\(void \\*\\*")
  if(NOT lines)
    message(FATAL_ERROR "${source} has no test case")
  endif()
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "^static void test_([A-Za-z0-9_]+)\\(.*" "\\1" case "${line}")
    add_test(NAME unit.${name}.${case} COMMAND test_${name} test_${case})
    set_tests_properties(
      unit.${name}.${case} PROPERTIES LABELS unit TIMEOUT ${CERTPOST_UNIT_TIMEOUT_S} ENVIRONMENT
                                                                 "${CERTPOST_TEST_ENVIRONMENT}")
  endforeach()
endfunction()

# certpost_integration_test(NAME [LABELS …] [FIXTURES …]): tests/integration/test_NAME.py, standard unittest. Each
# method test_CASE becomes the ctest integration.NAME.CASE. Certificates are made once, by a fixture.
function(certpost_integration_test name)
  cmake_parse_arguments(TEST "" "" "LABELS;ENVIRONMENT;RESOURCES;FIXTURES" ${ARGN})
  set(source "${CMAKE_CURRENT_SOURCE_DIR}/integration/test_${name}.py")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${source}")
  file(STRINGS "${source}" lines REGEX "^(class [A-Za-z0-9_]+|    def test_[A-Za-z0-9_]+\\()")
  set(class "")
  foreach(line IN LISTS lines)
    if(line MATCHES "^class ([A-Za-z0-9_]+)")
      set(class "${CMAKE_MATCH_1}")
      continue()
    endif()
    string(REGEX REPLACE "^    def test_([A-Za-z0-9_]+)\\(.*" "\\1" case "${line}")
    set(test integration.${name}.${case})
    if(TEST ${test})
      message(FATAL_ERROR "${source}: two cases are named ${case}")
    endif()
    add_test(NAME ${test} COMMAND Python3::Interpreter -B -m unittest -q
                                  test_${name}.${class}.test_${case}
             WORKING_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}/integration")
    set_tests_properties(
      ${test}
      PROPERTIES LABELS "integration;${TEST_LABELS}"
                 TIMEOUT ${CERTPOST_INTEGRATION_TIMEOUT_S}
                 FIXTURES_REQUIRED "certificates;${TEST_FIXTURES}"
                 SKIP_RETURN_CODE 77
                 ENVIRONMENT
                 "CERTPOST_SOURCE_DIR=${PROJECT_SOURCE_DIR};CERTPOST_BINARY_DIR=${PROJECT_BINARY_DIR};PYTHONPATH=${CMAKE_CURRENT_SOURCE_DIR}/support;${CERTPOST_TEST_ENVIRONMENT};${TEST_ENVIRONMENT}")
    if(TEST_RESOURCES)
      # First, for they run one after the other: begun late, they run on when all others have ended.
      set_tests_properties(${test} PROPERTIES RESOURCE_LOCK "${TEST_RESOURCES}" COST 1000)
    endif()
  endforeach()
endfunction()
