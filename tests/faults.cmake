# The two programs with a shim that makes calls fail (support/fault_shim.h), and the tests that use
# them. Not under the thread sanitizer, whose own threads and memory would be hit.
if(CERTPOST_SANITIZE MATCHES "thread")
  return()
endif()

add_library(
  certpost_fault_shim OBJECT support/fault_shim.c support/fault_memory_calls.c support/fault_socket_calls.c
                             support/fault_file_calls.c support/fault_system_calls.c)
target_include_directories(certpost_fault_shim PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}")
target_compile_features(certpost_fault_shim PRIVATE c_std_17)
target_compile_definitions(certpost_fault_shim PRIVATE _GNU_SOURCE)
# Flags of its own: it runs before a sanitizer has set itself up, and defines what builtins and
# fortified inline functions would replace.
target_compile_options(certpost_fault_shim PRIVATE -Wall -Wextra -Wshadow -Wconversion -Wno-unused-result -fno-builtin
                                                   $<$<BOOL:${CERTPOST_WERROR}>:-Werror>)

function(certpost_faulty_program name main layer)
  add_executable(${name} "${main}")
  target_link_libraries(${name} PRIVATE certpost_compiler certpost_fault_shim ${layer} ${CMAKE_DL_LIBS})
  # So that shared libraries find our malloc, and stacks have names.
  set_target_properties(${name} PROPERTIES ENABLE_EXPORTS ON RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
endfunction()
certpost_faulty_program(certpostd_faulty "${PROJECT_SOURCE_DIR}/src/server/main.c" certpost_server)
certpost_faulty_program(certpost_faulty "${PROJECT_SOURCE_DIR}/src/client/main.c" certpost_client)

certpost_integration_test(fault_exchange LABELS fault)
certpost_integration_test(fault_start LABELS fault)
certpost_integration_test(fault_admin LABELS fault)
certpost_integration_test(fault_store LABELS fault)
certpost_integration_test(fault_reload LABELS fault)
certpost_integration_test(fault_send LABELS fault)
# In a calendar and hours of the test's own.
certpost_integration_test(expiry LABELS server fault)
certpost_integration_test(fault_check LABELS fault)
