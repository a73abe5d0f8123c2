// Secret keys that stay on a PKCS#11 token, used through OpenSSL's provider for them
// (pkcs11-provider). Its configuration (provider-pkcs11(7): openssl.cnf, PKCS11_PROVIDER_MODULE)
// says which module drives the token. The default is p11-kit's, which knows the machine's modules.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "images/publish/passphrase.h"
#include "updater/base/result.h"

struct evp_pkey_st;

namespace hostos {

inline constexpr std::string_view kTokenScheme = "pkcs11:";

// The URI for people: without any PIN in it.
std::string WithoutPin(const std::string& uri);

// The one secret key that a URI (RFC 7512) names. The PIN comes from the URI (pin-value,
// pin-source), else from `pin`. kUsage when there is no such key, or more than one.
Result<std::shared_ptr<evp_pkey_st>> LoadTokenKey(const std::string& uri, const AskPassphrase& pin);

}  // namespace hostos
