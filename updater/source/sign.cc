#include "updater/source/sign.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "updater/base/unique_fd.h"
#include "updater/source/token.h"

namespace hostos {
namespace {

constexpr size_t kSeedBytes = 32;  // of ed25519
constexpr std::string_view kPemBegin = "-----BEGIN PUBLIC KEY-----";
constexpr std::string_view kPemEnd = "-----END PUBLIC KEY-----";
constexpr size_t kMaxSecretBytes = 64 << 10;
// Of scrypt: 16 MiB, the most that OpenSSL reads without being told to, five times over.
constexpr uint64_t kScryptN = 1 << 14, kScryptR = 8, kScryptP = 5;

struct Sizes {
  size_t public_key;
  size_t signature;
};
constexpr Sizes SizesOf(Algorithm algorithm) {
  return algorithm == Algorithm::kEd25519 ? Sizes{32, 64} : Sizes{1952, 3309};
}

// As OpenSSL's providers call it.
const char* ProviderName(Algorithm algorithm) {
  return algorithm == Algorithm::kEd25519 ? "ED25519" : "ML-DSA-65";
}

using Bio = std::unique_ptr<BIO, decltype([](BIO* bio) { BIO_free_all(bio); })>;
using Key = std::unique_ptr<EVP_PKEY, decltype([](EVP_PKEY* key) { EVP_PKEY_free(key); })>;
using KeyInfo =
    std::unique_ptr<PKCS8_PRIV_KEY_INFO,
                    decltype([](PKCS8_PRIV_KEY_INFO* info) { PKCS8_PRIV_KEY_INFO_free(info); })>;
using EncryptedKey = std::unique_ptr<X509_SIG, decltype([](X509_SIG* key) { X509_SIG_free(key); })>;
using KeyContext = std::unique_ptr<EVP_MD_CTX, decltype([](EVP_MD_CTX* c) { EVP_MD_CTX_free(c); })>;

const uint8_t* Bytes(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

std::string EncodeBase64(std::string_view bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3), '\0');
  EVP_EncodeBlock(reinterpret_cast<uint8_t*>(text.data()), Bytes(bytes),
                  static_cast<int>(bytes.size()));
  return text;
}

// Strict base64 of one line; empty when it is not.
std::string DecodeBase64(std::string_view text) {
  std::string bytes(text.size() / 4 * 3, '\0');
  if (text.empty() || text.size() % 4 != 0 ||
      EVP_DecodeBlock(reinterpret_cast<uint8_t*>(bytes.data()), Bytes(text),
                      static_cast<int>(text.size())) < 0) {
    return {};
  }
  // EVP_DecodeBlock counts the padding as zero bytes, and skips white space.
  bytes.resize(bytes.size() - std::min<size_t>(2, text.size() - text.find_last_not_of('=') - 1));
  return EncodeBase64(bytes) == text ? bytes : std::string();
}

Bio Reading(std::string_view text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::optional<Algorithm> AlgorithmOf(const EVP_PKEY* key) {
  for (Algorithm algorithm : kAlgorithms)
    if (key && EVP_PKEY_is_a(key, ProviderName(algorithm)) == 1) return algorithm;
  return std::nullopt;
}

std::string RawPublic(const EVP_PKEY* key, Algorithm algorithm) {
  std::string bytes(SizesOf(algorithm).public_key, '\0');
  size_t size = bytes.size();
  const bool read =
      EVP_PKEY_get_raw_public_key(key, reinterpret_cast<uint8_t*>(bytes.data()), &size) == 1;
  return read && size == bytes.size() ? bytes : std::string();
}

Key FromRawPublic(const PublicKey& key) {
  return Key(EVP_PKEY_new_raw_public_key_ex(nullptr, ProviderName(key.algorithm), nullptr,
                                            Bytes(key.bytes), key.bytes.size()));
}

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  size_t begin = text.find_first_not_of(kBlank);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

// The key of a PEM block, or of a line of base64.
std::optional<PublicKey> ParsePublic(std::string_view text) {
  PublicKey key;
  if (text.starts_with(kPemBegin)) {
    const Key parsed(PEM_read_bio_PUBKEY(Reading(text).get(), nullptr, nullptr, nullptr));
    if (AlgorithmOf(parsed.get()) != Algorithm::kMlDsa65) return std::nullopt;
    key.algorithm = Algorithm::kMlDsa65;
    key.bytes = RawPublic(parsed.get(), key.algorithm);
  } else {
    key.bytes = DecodeBase64(text);
  }
  if (key.bytes.size() != SizesOf(key.algorithm).public_key) return std::nullopt;
  return key;
}

// Whether `text`, in the place of a secret key, is a public one.
bool IsPublic(std::string_view text) {
  while (text.starts_with('#')) text = Trim(text.substr(std::min(text.find('\n'), text.size())));
  const size_t end = text.find(text.starts_with(kPemBegin) ? kPemEnd : "\n");
  const size_t size = text.starts_with(kPemBegin) ? kPemEnd.size() : 0;
  return ParsePublic(text.substr(0, end == text.npos ? end : end + size)).has_value();
}

std::unexpected<Error> PublicInPlace(const std::string& source) {
  return Fail(Code::kUsage,
              "{}: expected a secret key, found a public one: give the file that `hostimage keygen "
              "--secret` wrote",
              source);
}

// What is in the file, or in the environment variable.
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

// The key of base64 of 64 bytes, if it is one: its public half belongs to its secret half.
Key FromOstree(std::string_view line) {
  const std::string bytes = DecodeBase64(line);
  if (bytes.size() != 2 * kSeedBytes) return nullptr;
  Key key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, Bytes(bytes), kSeedBytes));
  const bool whole = key && RawPublic(key.get(), Algorithm::kEd25519) ==
                                std::string_view(bytes).substr(kSeedBytes);
  return whole ? std::move(key) : nullptr;
}

std::string_view FirstLine(std::string_view text) {
  return Trim(text.substr(0, text.find('\n')));
}

// Removes white space, and "\n" as JSON and shells write it, from the front.
std::string_view SkipBlank(std::string_view text) {
  for (;;) {
    text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
    if (!text.starts_with("\\n") && !text.starts_with("\\r")) return text;
    text.remove_prefix(2);
  }
}

// What follows the words "PRIVATE KEY" inside a label: is it the rest of a key?
bool IsRestOfSecret(std::string_view text) {
  constexpr std::string_view kBlock = " BLOCK", kDashes = "-----";  // the first: PGP's
  constexpr size_t kLeastBase64 = 40;                               // of a key's first line
  if (text.starts_with(kBlock)) text.remove_prefix(kBlock.size());
  if (!text.starts_with(kDashes)) return false;
  text = SkipBlank(text.substr(kDashes.size()));
  if (text.starts_with("Proc-Type:") || text.starts_with("Version:")) return true;
  const size_t end =
      text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=");
  return std::min(end, text.size()) >= kLeastBase64;
}

bool HasSecretPem(std::string_view text) {
  constexpr std::string_view kBegin = "-----BEGIN ", kWords = "PRIVATE KEY";
  constexpr size_t kMaxLabel = 32;  // before these words: "ENCRYPTED ", "OPENSSH "
  // Not string_view::find(): a root has hundreds of megabytes.
  while (const void* found = ::memmem(text.data(), text.size(), kWords.data(), kWords.size())) {
    const auto at = static_cast<size_t>(static_cast<const char*>(found) - text.data());
    const std::string_view before = text.substr(0, at).substr(at - std::min(at, kMaxLabel));
    text.remove_prefix(at + kWords.size());
    const size_t begin = before.rfind(kBegin);
    if (begin != before.npos &&
        before.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ", begin + kBegin.size()) ==
            before.npos &&
        IsRestOfSecret(text))
      return true;
  }
  return false;
}

// Is it a key and nothing else, in DER? Only what is one sequence to its end is tried.
bool IsSecretDer(std::string_view text) {
  constexpr uint8_t kSequence = 0x30;
  if (text.empty() || Bytes(text)[0] != kSequence || text.size() > kMaxSecretBytes) return false;
  const uint8_t* begin = Bytes(text);
  const Key key(d2i_AutoPrivateKey(nullptr, &begin, static_cast<long>(text.size())));
  return key && begin == Bytes(text) + text.size();
}

bool Contains(std::span<const PublicKey> keys, const PublicKey& wanted) {
  return std::ranges::any_of(keys, [&](const PublicKey& key) { return key.SameAs(wanted); });
}

}  // namespace

std::string_view Name(Algorithm algorithm) {
  return algorithm == Algorithm::kEd25519 ? "ed25519" : "ML-DSA-65";
}

bool Demands(SignaturePolicy policy, Algorithm algorithm) {
  return policy == SignaturePolicy::kHybrid ||
         (policy == SignaturePolicy::kPq) == (algorithm == Algorithm::kMlDsa65);
}

SignaturePolicy Stricter(SignaturePolicy a, SignaturePolicy b) {
  return a == b ? a : SignaturePolicy::kHybrid;
}

std::optional<SignaturePolicy> PolicyNamed(std::string_view name) {
  const auto found = std::ranges::find(kPolicyNames, name);
  if (found == kPolicyNames.end()) return std::nullopt;
  return static_cast<SignaturePolicy>(found - kPolicyNames.begin());
}

Result<std::vector<PublicKey>> PublicKey::Load(const std::string& path) {
  const std::string text = TRY(ReadFile(path));
  std::vector<PublicKey> keys;
  int number = 1;  // of the line
  // Takes what stands before the next `end`, and that.
  std::string_view rest = text;
  const auto take = [&](std::string_view end) {
    const size_t at = rest.find(end);
    const std::string_view taken = rest.substr(0, at == rest.npos ? at : at + end.size());
    rest.remove_prefix(taken.size());
    return taken;
  };
  while (!rest.empty()) {
    const bool pem = rest.starts_with(kPemBegin);
    const std::string_view taken = take(pem ? kPemEnd : "\n");
    const std::string_view entry = Trim(taken);
    if (!entry.empty() && entry.front() != '#') {
      std::optional<PublicKey> key = ParsePublic(entry);
      if (!key &&
          HasSecretKey(std::string_view(text).substr(text.size() - rest.size() - taken.size())))
        return Fail(Code::kUsage,
                    "{}:{}: expected a public key, found a secret one; its public half: hostimage "
                    "public --key {}",
                    path, number, path);
      if (!key) {
        return Fail(Code::kUsage,
                    "{}:{}: expected a public key (ed25519: base64 of 32 bytes; ML-DSA-65: PEM), "
                    "found '{}'",
                    path, number, entry.substr(0, 60));
      }
      key->name = path;
      keys.push_back(*std::move(key));
    }
    number += static_cast<int>(std::ranges::count(taken, '\n'));
  }
  if (keys.empty()) return Fail(Code::kUsage, "{}: expected a public key, found none", path);
  return keys;
}

std::string PublicKey::Text() const {
  if (algorithm == Algorithm::kEd25519) return EncodeBase64(bytes) + "\n";
  const Bio bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_PUBKEY(bio.get(), FromRawPublic(*this).get()) != 1) return {};
  char* data = nullptr;
  const auto size = static_cast<size_t>(BIO_get_mem_data(bio.get(), &data));
  return {data, size};
}

bool PublicKey::Verifies(std::string_view data, const Signature& signature) const {
  if (signature.algorithm != algorithm || signature.bytes.size() != SizesOf(algorithm).signature)
    return false;
  const Key key = FromRawPublic(*this);
  const KeyContext context(EVP_MD_CTX_new());
  return key && context &&
         EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), Bytes(signature.bytes), signature.bytes.size(),
                          Bytes(data), data.size()) == 1;
}

TrustedKeys ReadTrustedKeys(std::span<const std::string> directories) {
  TrustedKeys trusted;
  for (const std::string& directory : directories) {
    std::error_code error;
    std::vector<std::string> files;
    for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
         entry.increment(error)) {
      if (entry->path().extension() == ".pub") files.push_back(entry->path());
    }
    if (error && error != std::errc::no_such_file_or_directory)
      trusted.problems.push_back(FailErrno(directory, error.value()).error().message);
    std::ranges::sort(files);
    for (const std::string& file : files) {
      Result<std::vector<PublicKey>> keys = PublicKey::Load(file);
      if (!keys) {
        trusted.problems.push_back(std::move(keys.error().message));
        continue;
      }
      for (PublicKey& key : *keys) {
        if (!Contains(trusted.keys, key)) trusted.keys.push_back(std::move(key));
      }
    }
  }
  return trusted;
}

Result<TrustedKeys> LoadTrustedKeys(std::span<const std::string> directories) {
  TrustedKeys trusted = ReadTrustedKeys(directories);
  if (!trusted.keys.empty()) return trusted;
  std::string names, problems;
  for (const std::string& directory : directories) names += (names.empty() ? "" : ", ") + directory;
  for (const std::string& problem : trusted.problems) problems += "; not used: " + problem;
  return Fail(Code::kNotTrusted, "no trusted key: expected at least one *.pub file in {}{}", names,
              problems);
}

Result<std::vector<PublicKey>> LoadGivenKeys(std::span<const std::string> directories) {
  TrustedKeys trusted = ReadTrustedKeys(directories);
  if (!trusted.problems.empty()) return Fail(Code::kUsage, "{}", trusted.problems.front());
  return TRY(LoadTrustedKeys(directories)).keys;
}

std::vector<PublicKey> ValidSigners(std::span<const PublicKey> trusted, std::string_view data,
                                    std::span<const Signature> signatures) {
  std::vector<PublicKey> signers;
  for (const PublicKey& key : trusted) {
    const auto verifies = [&](const Signature& each) { return key.Verifies(data, each); };
    if (!Contains(signers, key) && std::ranges::any_of(signatures, verifies))
      signers.push_back(key);
  }
  return signers;
}

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

bool HasSecretKey(std::string_view text) {
  return FromOstree(FirstLine(text)) || IsSecretDer(text) || HasSecretPem(text);
}

Result<std::string> ReadSecretFile(const std::string& path) {
  const UniqueFd file = TRY(Open(path, O_RDONLY));
  struct stat status;
  if (::fstat(file.get(), &status) < 0) return FailErrno(path);
  std::string text(kMaxSecretBytes, '\0');
  text.resize(TRY_CONTEXT(path, ReadFull(file.get(), std::as_writable_bytes(std::span(text)))));
  if ((status.st_mode & 077) == 0) return text;
  if (IsPublic(Trim(text))) return PublicInPlace(path);
  return Fail(Code::kUsage,
              "{}: a secret that others can read (mode {:04o}, expected 0600); run: chmod 600 {}",
              path, status.st_mode & 07777, path);
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
  if (IsPublic(text)) return PublicInPlace(source);
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
  (void)::unlink(path.c_str());  // it would be in the way of the next one
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
