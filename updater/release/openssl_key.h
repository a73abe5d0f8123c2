// OpenSSL's keys, for code that reads, checks or makes them: ownership, base64, raw public keys.
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "updater/release/signature.h"

namespace hostos {

inline constexpr size_t kSeedBytes = 32;  // of ed25519
inline constexpr std::string_view kPemBegin = "-----BEGIN PUBLIC KEY-----";
inline constexpr std::string_view kPemEnd = "-----END PUBLIC KEY-----";

struct OpenSslFree {
  void operator()(BIO* bio) const { BIO_free_all(bio); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  void operator()(X509_SIG* key) const { X509_SIG_free(key); }
  void operator()(PKCS12* keys) const { PKCS12_free(keys); }
};
using Bio = std::unique_ptr<BIO, OpenSslFree>;
using Key = std::unique_ptr<EVP_PKEY, OpenSslFree>;
using KeyContext = std::unique_ptr<EVP_MD_CTX, OpenSslFree>;

struct KeySizes {
  size_t public_key;
  size_t signature;
};
constexpr KeySizes SizesOf(Algorithm algorithm) {
  return algorithm == Algorithm::kEd25519 ? KeySizes{32, 64} : KeySizes{1952, 3309};
}

// OpenSSL's providers' name for it.
const char* ProviderName(Algorithm algorithm);

inline const uint8_t* Bytes(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}
std::string EncodeBase64(std::string_view bytes);
// Decodes one line of strict base64. Empty when it is anything else.
std::string DecodeBase64(std::string_view text);

Bio Reading(std::string_view text);
std::optional<Algorithm> AlgorithmOf(const EVP_PKEY* key);
std::string RawPublic(const EVP_PKEY* key, Algorithm algorithm);
// One secret key in OSTree's form: base64 of the seed and the public key. Null when it is anything
// else, or when the public half does not belong to the secret half.
Key FromOstree(std::string_view line);
// The key in a PEM block or in a line of base64.
std::optional<PublicKey> ParsePublic(std::string_view text);

std::string_view FirstLine(std::string_view text);

}  // namespace hostos
