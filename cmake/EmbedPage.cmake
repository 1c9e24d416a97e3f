# Makes a C file from a page: cmake -DPAGE=… -DOUTPUT=… -P EmbedPage.cmake
#
# The page's one <style> and one <script> are named by their hashes in the policy that goes with it
# (CSP Level 3, section 2.3.1), made here from the very bytes that are served: nothing else in the
# page can run, and the hashes cannot get out of step with it.

set(BASE64 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")

# 64 hex digits, 32 bytes: ten groups of three bytes and one of two, which ends with "=".
function(base64_of_sha256 hex result)
  string(APPEND hex "00")
  set(text "")
  foreach(start RANGE 0 60 6)
    string(SUBSTRING "${hex}" ${start} 6 digits)
    foreach(shift IN ITEMS 18 12 6 0)
      math(EXPR index "(0x${digits} >> ${shift}) & 63")
      string(SUBSTRING "${BASE64}" ${index} 1 letter)
      string(APPEND text "${letter}")
    endforeach()
  endforeach()
  string(SUBSTRING "${text}" 0 43 text)
  set(${result} "${text}=" PARENT_SCOPE)
endfunction()

# What stands between <TAG> and </TAG>, of which there is one.
function(hash_of_element tag result)
  file(READ "${PAGE}" text)
  string(FIND "${text}" "<${tag}>" start)
  string(FIND "${text}" "</${tag}>" end)
  string(FIND "${text}" "<${tag}>" last REVERSE)
  string(LENGTH "<${tag}>" opening_length)
  if(start EQUAL -1 OR end LESS start OR NOT start EQUAL last)
    message(FATAL_ERROR "${PAGE} must have exactly one <${tag}>")
  endif()
  math(EXPR start "${start} + ${opening_length}")
  math(EXPR length "${end} - ${start}")
  string(SUBSTRING "${text}" ${start} ${length} content)
  string(SHA256 digest "${content}")
  base64_of_sha256("${digest}" text)
  set(${result} "'sha256-${text}'" PARENT_SCOPE)
endfunction()

hash_of_element(style STYLE)
hash_of_element(script SCRIPT)
file(READ "${PAGE}" bytes HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "(................................................................................)" "\\1\n"
                     bytes "${bytes}")
file(WRITE "${OUTPUT}" "/* Made by cmake/EmbedPage.cmake from a page; changes belong there. */
#include \"server/status.h\"

const unsigned char status_page[] = {
${bytes}
};
const size_t status_page_length = sizeof status_page;
const char status_page_policy[] =
    \"default-src 'none'; style-src ${STYLE}; \"
    \"script-src ${SCRIPT}; connect-src 'self'; \"
    \"img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\";
")
