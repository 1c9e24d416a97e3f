# Installed once for a run of ctest; the cases build against that tree, and some against copies of it.
add_test(NAME fixture.installed COMMAND Python3::Interpreter -B "${CMAKE_CURRENT_SOURCE_DIR}/support/installed.py" make)
set_tests_properties(
  fixture.installed
  PROPERTIES FIXTURES_SETUP installed
             LABELS install
             TIMEOUT ${CERTPOST_INTEGRATION_TIMEOUT_S}
             ENVIRONMENT "CERTPOST_SOURCE_DIR=${PROJECT_SOURCE_DIR};CERTPOST_BINARY_DIR=${PROJECT_BINARY_DIR}")
certpost_integration_test(install LABELS install FIXTURES installed)
