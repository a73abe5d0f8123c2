#include "images/publish/token.h"

#include <openssl/conf.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <openssl/store.h>
#include <openssl/ui.h>

#include <vector>

namespace hostos {
namespace {

using LibraryContext =
    std::unique_ptr<OSSL_LIB_CTX, decltype([](OSSL_LIB_CTX* c) { OSSL_LIB_CTX_free(c); })>;
using Provider =
    std::unique_ptr<OSSL_PROVIDER, decltype([](OSSL_PROVIDER* p) { OSSL_PROVIDER_unload(p); })>;
using Store =
    std::unique_ptr<OSSL_STORE_CTX, decltype([](OSSL_STORE_CTX* s) { OSSL_STORE_close(s); })>;
using StoreInfo =
    std::unique_ptr<OSSL_STORE_INFO, decltype([](OSSL_STORE_INFO* i) { OSSL_STORE_INFO_free(i); })>;
using UiMethod =
    std::unique_ptr<UI_METHOD, decltype([](UI_METHOD* method) { UI_destroy_method(method); })>;

// OpenSSL with the provider, in a context of its own, which ends with its last key. The default
// context ends with the program, and then the token's module may already be gone.
struct TokenLibrary {
  LibraryContext context{OSSL_LIB_CTX_new()};
  Provider standard, tokens;

  TokenLibrary() {
    char* configuration = CONF_get1_default_config_file();
    (void)OSSL_LIB_CTX_load_config(context.get(), configuration);  // there may be none
    OPENSSL_free(configuration);
    standard.reset(OSSL_PROVIDER_load(context.get(), "default"));
    tokens.reset(OSSL_PROVIDER_load(context.get(), "pkcs11"));
  }
};

}  // namespace

std::string WithoutPin(const std::string& uri) {
  return uri.substr(0, std::min(uri.find('?'), uri.find(";pin-")));
}

Result<std::shared_ptr<EVP_PKEY>> LoadTokenKey(const std::string& uri, const AskPassphrase& pin) {
  const std::string name = WithoutPin(uri);
  const auto library = std::make_shared<TokenLibrary>();
  if (!library->standard || !library->tokens)
    return Fail(Code::kFailed,
                "{}: OpenSSL cannot load its provider for tokens: install pkcs11-provider", name);
  PassphraseCallback callback(name, pin);
  // If no PIN is known here, the provider would ask for it in its own way, and wait.
  if (!uri.contains("pin-value=") && !uri.contains("pin-source=")) TRY(callback.Ask());
  const UiMethod ask(UI_UTIL_wrap_read_pem_callback(PassphraseCallback::Call, 0));
  const Store store(OSSL_STORE_open_ex(uri.c_str(), library->context.get(), "provider=pkcs11",
                                       ask.get(), &callback, nullptr, nullptr, nullptr));
  if (!store)
    return Fail(Code::kFailed,
                "{}: the module for the token cannot be used: expected its path in "
                "PKCS11_PROVIDER_MODULE or openssl.cnf",
                name);
  OSSL_STORE_expect(store.get(), OSSL_STORE_INFO_PKEY);
  std::vector<std::shared_ptr<EVP_PKEY>> keys;
  while (!OSSL_STORE_eof(store.get()) && !OSSL_STORE_error(store.get())) {
    const StoreInfo info(OSSL_STORE_load(store.get()));
    if (info && OSSL_STORE_INFO_get_type(info.get()) == OSSL_STORE_INFO_PKEY)
      keys.emplace_back(OSSL_STORE_INFO_get1_PKEY(info.get()),
                        [library](EVP_PKEY* key) { EVP_PKEY_free(key); });
  }
  if (callback.answer()) TRY(*callback.answer());
  if (keys.size() != 1)
    return Fail(Code::kUsage,
                "{}: expected one secret key that the PIN gives access to, found {}; `p11tool` and "
                "`pkcs11-tool -O` list what a token has",
                name, keys.size());
  return keys.front();
}

}  // namespace hostos
