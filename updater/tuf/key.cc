#include "updater/tuf/key.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <array>
#include <utility>

namespace hostos::tuf {
namespace {

constexpr size_t kEd25519KeyBytes = 32;
constexpr size_t kEd25519SignatureBytes = 64;
constexpr int kLeastRsaBits = 2048;

using Pem = std::unique_ptr<BIO, decltype([](BIO* bio) { BIO_free_all(bio); })>;
using Context = std::unique_ptr<EVP_MD_CTX, decltype([](EVP_MD_CTX* c) { EVP_MD_CTX_free(c); })>;

const uint8_t* Bytes(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

EVP_PKEY* ReadPem(const std::string& pem) {
  Pem bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  // Never asks for a passphrase, even if the key says that it is encrypted.
  const auto nobody = [](char*, int, int, void*) { return -1; };
  return PEM_read_bio_PUBKEY(bio.get(), nullptr, nobody, nullptr);
}

EVP_PKEY* ReadEd25519(const std::string& hex) {
  const std::string bytes = DecodeHex(hex);
  if (bytes.size() != kEd25519KeyBytes) return nullptr;
  return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, Bytes(bytes), bytes.size());
}

bool IsP256(const EVP_PKEY* key) {
  std::array<char, 32> curve{};
  return EVP_PKEY_get_id(key) == EVP_PKEY_EC &&
         EVP_PKEY_get_group_name(key, curve.data(), curve.size(), nullptr) == 1 &&
         std::string_view(curve.data()) == "prime256v1";
}

bool IsRsa(const EVP_PKEY* key) {
  return EVP_PKEY_get_id(key) == EVP_PKEY_RSA && EVP_PKEY_get_bits(key) >= kLeastRsaBits;
}

// The digest of an RSA-PSS scheme; null for another scheme.
const char* PssDigest(std::string_view scheme) {
  if (scheme == "rsassa-pss-sha256") return "SHA256";
  if (scheme == "rsassa-pss-sha384") return "SHA384";
  if (scheme == "rsassa-pss-sha512") return "SHA512";
  return nullptr;
}

}  // namespace

struct Key::Material {
  std::string type, scheme, text;
  const char* digest = nullptr;  // null: the scheme has its own
  std::shared_ptr<EVP_PKEY> key;
  bool is_read = false;

  // Null if the key is broken, or of an unknown kind.
  EVP_PKEY* Read() {
    if (!std::exchange(is_read, true)) key.reset(Decode(), EVP_PKEY_free);
    return key.get();
  }

 private:
  EVP_PKEY* Decode() {
    if (type == "ed25519" && scheme == "ed25519") return ReadEd25519(text);
    bool (*is_right)(const EVP_PKEY*) = nullptr;
    if ((type == "ecdsa" || type == "ecdsa-sha2-nistp256") && scheme == "ecdsa-sha2-nistp256") {
      digest = "SHA256";
      is_right = IsP256;
    } else if (type == "rsa" && (digest = PssDigest(scheme))) {
      is_right = IsRsa;
    }
    EVP_PKEY* read = is_right ? ReadPem(text) : nullptr;
    if (!read || is_right(read)) return read;
    EVP_PKEY_free(read);
    return nullptr;
  }
};

Key::Key(const Object& key) : material_(std::make_shared<Material>()) {
  material_->type = key.Text("keytype").value_or("");
  material_->scheme = key.Text("scheme").value_or("");
  const Result<Object> value = key.Child("keyval");
  material_->text = value ? value->Text("public").value_or("") : "";
}

bool Key::Verifies(std::string_view data, std::string_view signature) const {
  EVP_PKEY* key = material_->Read();
  if (!key) return false;
  const bool ed25519 = EVP_PKEY_get_id(key) == EVP_PKEY_ED25519;
  const bool rsa = EVP_PKEY_get_id(key) == EVP_PKEY_RSA;
  if (ed25519 && signature.size() != kEd25519SignatureBytes) return false;
  if (rsa && signature.size() != static_cast<size_t>(EVP_PKEY_get_size(key))) return false;

  Context context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* options = nullptr;  // owned by the context
  if (EVP_DigestVerifyInit_ex(context.get(), &options, material_->digest, nullptr, nullptr, key,
                              nullptr) != 1) {
    return false;
  }
  if (rsa && (EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) != 1 ||
              EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_AUTO) != 1)) {
    return false;
  }
  return EVP_DigestVerify(context.get(), Bytes(signature), signature.size(), Bytes(data),
                          data.size()) == 1;
}

bool Key::operator==(const Key& other) const {
  EVP_PKEY *mine = material_->Read(), *theirs = other.material_->Read();
  return mine && theirs && EVP_PKEY_eq(mine, theirs) == 1;
}

std::string DecodeHex(const std::string& hex) {
  std::string bytes(hex.size() / 2, '\0');
  size_t size = 0;
  if (OPENSSL_hexstr2buf_ex(reinterpret_cast<uint8_t*>(bytes.data()), bytes.size(), &size,
                            hex.c_str(), '\0') != 1 ||
      2 * size != hex.size()) {
    return {};
  }
  return bytes;
}

}  // namespace hostos::tuf
