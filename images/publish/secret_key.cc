#include "images/publish/secret_key.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>
#include <unistd.h>

#include <algorithm>

#include "images/publish/token.h"
#include "updater/base/text.h"
#include "updater/base/unique_fd.h"
#include "updater/release/openssl_key.h"
#include "updater/release/secret_text.h"

namespace hostos {
namespace {

// For scrypt: 16 MiB, the most that OpenSSL reads by default, five times over.
constexpr uint64_t kScryptN = 1 << 14, kScryptR = 8, kScryptP = 5;

using KeyInfo =
    std::unique_ptr<PKCS8_PRIV_KEY_INFO,
                    decltype([](PKCS8_PRIV_KEY_INFO* info) { PKCS8_PRIV_KEY_INFO_free(info); })>;
using EncryptedKey = std::unique_ptr<X509_SIG, OpenSslFree>;

// The content of the file or of the environment variable.
Result<std::string> ReadSecret(const std::string& source) {
  if (!source.starts_with(kVariable)) return ReadSecretFile(source);
  std::optional<std::string> text = TakeVariable(source.substr(kVariable.size()));
  if (!text)
    return Fail(Code::kUsage,
                "{}: expected secret keys in this environment variable, it is not set", source);
  return *std::move(text);
}

// PKCS#8; encrypted when there is a passphrase.
bool WritePem(BIO* bio, const EVP_PKEY* key, std::string_view passphrase) {
  const KeyInfo info(EVP_PKEY2PKCS8(key));
  if (!info) return false;
  if (passphrase.empty()) return PEM_write_bio_PKCS8_PRIV_KEY_INFO(bio, info.get()) == 1;
  X509_ALGOR* algorithm =
      PKCS5_pbe2_set_scrypt(EVP_aes_256_cbc(), nullptr, 0, nullptr, kScryptN, kScryptR, kScryptP);
  const EncryptedKey encrypted(algorithm ? PKCS8_set0_pbe(passphrase.data(),
                                                          static_cast<int>(passphrase.size()),
                                                          info.get(), algorithm)
                                         : nullptr);
  return encrypted && PEM_write_bio_PKCS8(bio, encrypted.get()) == 1;
}

}  // namespace

Result<SecretKey> SecretKey::Generate(Algorithm algorithm) {
  std::shared_ptr<EVP_PKEY> key(EVP_PKEY_Q_keygen(nullptr, nullptr, ProviderName(algorithm)),
                                EVP_PKEY_free);
  if (!key) return Fail(Code::kFailed, "generating an {} key failed", Name(algorithm));
  return SecretKey(algorithm, std::move(key));
}

Result<std::vector<SecretKey>> SecretKey::GenerateHybrid() {
  std::vector<SecretKey> keys;
  for (Algorithm algorithm : kAlgorithms) keys.push_back(TRY(Generate(algorithm)));
  return keys;
}

Result<std::vector<SecretKey>> LoadSecretKeys(std::span<const std::string> sources,
                                              const AskPassphrase& ask) {
  std::vector<SecretKey> keys;
  for (const std::string& source : sources)
    std::ranges::move(TRY(SecretKey::Load(source, ask)), std::back_inserter(keys));
  return keys;
}

Result<std::string> PublicText(std::span<const SecretKey> keys) {
  std::string text;
  for (const SecretKey& key : keys) text += TRY(key.Public()).Text();
  return text;
}

Result<std::vector<SecretKey>> SecretKey::Load(const std::string& source,
                                               const AskPassphrase& ask) {
  const bool on_token = source.starts_with(kTokenScheme);
  std::vector<SecretKey> keys;
  const auto add = [&](std::shared_ptr<EVP_PKEY> key) -> Result<> {
    const std::optional<Algorithm> algorithm = AlgorithmOf(key.get());
    if (!algorithm) {
      return Fail(Code::kUsage,
                  "{}: expected secret keys, ed25519 or ML-DSA-65 (PKCS#8 PEM, or base64 of 64 "
                  "bytes as `ostree sign` takes it)",
                  on_token ? WithoutPin(source) : source);
    }
    keys.push_back(SecretKey(*algorithm, std::move(key)));
    return {};
  };
  if (on_token) {
    const auto key = TRY(LoadTokenKey(source, ask));
    TRY(add(key));
    return keys;
  }
  const std::string content = TRY(ReadSecret(source));
  const std::string_view text = Trim(content);
  TRY(CheckNotPublic(text, source));
  if (text.starts_with("-----BEGIN")) {
    const Bio bio = Reading(text);
    PassphraseCallback callback(source, ask);
    do {
      Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, PassphraseCallback::Call, &callback));
      if (!key && callback.answer()) {
        TRY(*callback.answer());
        return Fail(Code::kUsage, "{}: the passphrase is not the one it was encrypted with",
                    source);
      }
      TRY(add(std::move(key)));
    } while (BIO_pending(bio.get()) > 0);
    return keys;
  }
  if (const std::string_view line = FirstLine(text);
      DecodeBase64(line).size() == 2 * kSeedBytes && !FromOstree(line))
    return Fail(Code::kUsage, "{}: the public half does not belong to the secret half", source);
  TRY(add(FromOstree(FirstLine(text))));
  return keys;
}

Result<> SecretKey::Save(std::span<const SecretKey> keys, const std::string& path,
                         std::string_view passphrase) {
  const Bio bio(BIO_new(BIO_s_mem()));
  for (const SecretKey& key : keys)
    if (!WritePem(bio.get(), key.key_.get(), passphrase))
      return Fail(Code::kFailed, "{}: encoding the key failed", path);
  char* data = nullptr;
  const auto size = static_cast<size_t>(BIO_get_mem_data(bio.get(), &data));
  UniqueFd file = TRY(Open(path, O_WRONLY | O_CREAT | O_EXCL, 0600));
  Result<> written = WriteFull(file.get(), AsBytes({data, size}));
  if (written && ::fsync(file.get()) < 0) written = FailErrno("fsync");
  if (written) written = file.Close();
  if (written) return {};
  (void)::unlink(path.c_str());  // it would block the next attempt
  return std::unexpected(std::move(written.error()).Wrap(path));
}

Result<PublicKey> SecretKey::Public() const {
  PublicKey key{.algorithm = algorithm_, .bytes = RawPublic(key_.get(), algorithm_), .name = ""};
  if (key.bytes.empty()) return Fail(Code::kFailed, "reading the public half of a key failed");
  return key;
}

Result<Signature> SecretKey::Sign(std::string_view data) const {
  Signature signature{algorithm_, std::string(SizesOf(algorithm_).signature, '\0')};
  size_t size = signature.bytes.size();
  const KeyContext context(EVP_MD_CTX_new());
  // The same bytes give the same signature, so that signing twice adds nothing.
  int deterministic = 1;
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_int(OSSL_SIGNATURE_PARAM_DETERMINISTIC, &deterministic), OSSL_PARAM_END};
  if (!context ||
      EVP_DigestSignInit_ex(context.get(), nullptr, nullptr, nullptr, nullptr, key_.get(),
                            algorithm_ == Algorithm::kMlDsa65 ? parameters : nullptr) != 1 ||
      EVP_DigestSign(context.get(), reinterpret_cast<uint8_t*>(signature.bytes.data()), &size,
                     Bytes(data), data.size()) != 1 ||
      size != signature.bytes.size()) {
    return Fail(Code::kFailed, "signing failed");
  }
  return signature;
}

}  // namespace hostos
