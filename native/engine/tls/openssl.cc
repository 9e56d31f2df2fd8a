#include "openssl.h"
#include <openssl/err.h>

namespace aq {

OpensslError takeOpensslError() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return {"no reason given", -1};
  const char *text = ERR_reason_error_string(code);
  const int reason = ERR_GET_REASON(code);
  const bool alert = ERR_GET_LIB(code) == ERR_LIB_SSL && reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256;
  return {text ? text : "error " + std::to_string(code), alert ? reason - SSL_AD_REASON_OFFSET : -1};
}

} // namespace aq
