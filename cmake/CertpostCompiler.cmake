# Compiler flags of every certpost target, as one interface target: nothing is set globally, so a
# project that adds certpost as a subdirectory keeps its own flags.
include(CheckCCompilerFlag)
include(CheckLinkerFlag)

add_library(certpost_compiler INTERFACE)
target_compile_features(certpost_compiler INTERFACE c_std_17)
target_compile_definitions(certpost_compiler INTERFACE _GNU_SOURCE OPENSSL_NO_DEPRECATED)
target_compile_options(
  certpost_compiler
  INTERFACE -Wall
            -Wextra
            -Wpedantic
            -Wconversion
            -Wsign-conversion
            -Wshadow
            -Wstrict-prototypes
            -Wmissing-prototypes
            -Wold-style-definition
            -Wpointer-arith
            -Wcast-qual
            -Wwrite-strings
            -Wformat=2
            -Wundef
            -Wvla
            -Wimplicit-fallthrough
            -Wnull-dereference
            -Wunused-result
            $<$<C_COMPILER_ID:GNU>:-Wlogical-op>
            $<$<C_COMPILER_ID:GNU>:-Wduplicated-cond>
            $<$<BOOL:${CERTPOST_WERROR}>:-Werror>
            -fvisibility=hidden
            -fno-common
            -fno-strict-aliasing
            $<$<NOT:$<BOOL:${CERTPOST_ASSERTIONS}>>:-DNDEBUG>)
if(CERTPOST_ASSERTIONS)
  target_compile_options(certpost_compiler INTERFACE -UNDEBUG)
endif()

function(_certpost_compile_flag flag)
  string(MAKE_C_IDENTIFIER "HAVE_CC${flag}" have)
  check_c_compiler_flag("${flag}" ${have})
  if(${have})
    target_compile_options(certpost_compiler INTERFACE "${flag}")
  endif()
endfunction()

# Where it was built is nobody's business, and the same sources give the same bytes wherever they are.
# gcov has to find them again.
if(NOT CERTPOST_COVERAGE)
  _certpost_compile_flag("-ffile-prefix-map=${PROJECT_BINARY_DIR}=build")
  _certpost_compile_flag("-ffile-prefix-map=${PROJECT_SOURCE_DIR}=.")
endif()

function(_certpost_link_flag flag)
  string(MAKE_C_IDENTIFIER "HAVE_LD${flag}" have)
  check_linker_flag(C "${flag}" ${have})
  if(${have})
    target_link_options(certpost_compiler INTERFACE "${flag}")
  endif()
endfunction()

# The OpenSSF compiler hardening guide, as far as the compiler at hand knows each flag.
# A sanitizer build leaves out what the sanitizers replace or do not support.
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(CERTPOST_HARDENING AND NOT CERTPOST_SANITIZE AND NOT CERTPOST_COVERAGE)
  if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    target_compile_options(certpost_compiler INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
  endif()
  _certpost_compile_flag(-fstack-protector-strong)
  _certpost_compile_flag(-fstack-clash-protection)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|i.86")
    _certpost_compile_flag(-fcf-protection=full)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64")
    _certpost_compile_flag(-mbranch-protection=standard)
  endif()
  _certpost_compile_flag(-fno-delete-null-pointer-checks)
  _certpost_compile_flag(-ftrivial-auto-var-init=zero)
  _certpost_link_flag(-Wl,-z,relro)
  _certpost_link_flag(-Wl,-z,now)
  _certpost_link_flag(-Wl,-z,noexecstack)
  check_linker_flag(C -Wl,-z,nodlopen HAVE_LD_Wl_z_nodlopen)
  if(HAVE_LD_Wl_z_nodlopen)
    # libcertpost is for dlopen too: that is how other languages' programs load it.
    target_link_options(certpost_compiler INTERFACE
                        $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:-Wl,-z,nodlopen>)
  endif()
  _certpost_link_flag(-Wl,--as-needed)
endif()

if(CERTPOST_SANITIZE)
  target_compile_options(certpost_compiler INTERFACE -fsanitize=${CERTPOST_SANITIZE}
                                                     -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(certpost_compiler INTERFACE -fsanitize=${CERTPOST_SANITIZE})
endif()
if(CERTPOST_SANITIZE MATCHES "thread")
  target_sources(
    certpost_compiler
    INTERFACE "$<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:${CMAKE_CURRENT_LIST_DIR}/tsan_close.c>")
endif()
if(CERTPOST_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "CERTPOST_FUZZ needs clang: cmake --preset fuzz")
  endif()
  # Everything tells libFuzzer where it went; only the fuzzers themselves bring its main.
  target_compile_options(certpost_compiler INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(certpost_compiler INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(CERTPOST_COVERAGE)
  target_compile_options(certpost_compiler INTERFACE --coverage -O0)
  target_link_options(certpost_compiler INTERFACE --coverage)
endif()

# Executables are position independent too (static libraries already are).
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)

# certpost_layer(NAME SOURCES… LINKS…): one static library per layer. It links only the layers
# below it, so a call upwards is a link error in the layer's own unit tests.
function(certpost_layer name)
  cmake_parse_arguments(LAYER "" "" "SOURCES;LINKS" ${ARGN})
  add_library(certpost_${name} STATIC ${LAYER_SOURCES})
  target_include_directories(certpost_${name} PUBLIC "${PROJECT_SOURCE_DIR}/src"
                                                     "${PROJECT_SOURCE_DIR}/include"
                                                     "${PROJECT_BINARY_DIR}/include")
  target_link_libraries(certpost_${name} PRIVATE certpost_compiler PUBLIC ${LAYER_LINKS})
endfunction()
