#include "updater/source/sign.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

constexpr size_t kSignatureBytes = 64;
constexpr size_t kSeedBytes = 32;

using Bio = std::unique_ptr<BIO, decltype([](BIO* bio) { BIO_free_all(bio); })>;
using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
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

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r";
  size_t begin = text.find_first_not_of(kBlank);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

}  // namespace

Result<std::vector<PublicKey>> PublicKey::Load(const std::string& path) {
  std::string text = TRY(ReadFile(path));
  std::vector<PublicKey> keys;
  int number = 0;
  for (std::string_view rest = text; !rest.empty();) {
    std::string_view line = Trim(rest.substr(0, rest.find('\n')));
    rest.remove_prefix(
        std::min(rest.size(), rest.find('\n') == rest.npos ? rest.size() : rest.find('\n') + 1));
    ++number;
    if (line.empty() || line.front() == '#') continue;
    std::string bytes = DecodeBase64(line);
    PublicKey key;
    if (bytes.size() != key.bytes.size()) {
      return Fail(Code::kUsage,
                  "{}:{}: expected an ed25519 public key (base64 of 32 bytes), found '{}'", path,
                  number, line.substr(0, 60));
    }
    std::ranges::copy(bytes, key.bytes.begin());
    key.name = path;
    keys.push_back(std::move(key));
  }
  if (keys.empty()) return Fail(Code::kUsage, "{}: expected a public key, found none", path);
  return keys;
}

std::string PublicKey::Base64() const {
  return EncodeBase64({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

bool PublicKey::Verifies(std::string_view data, std::string_view signature) const {
  if (signature.size() != kSignatureBytes) return false;
  Key key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes.data(), bytes.size()),
          EVP_PKEY_free);
  KeyContext context(EVP_MD_CTX_new());
  return key && context &&
         EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), Bytes(signature), signature.size(), Bytes(data),
                          data.size()) == 1;
}

Result<std::vector<PublicKey>> LoadTrustedKeys(std::span<const std::string> directories) {
  std::vector<PublicKey> keys;
  std::string names;
  for (const std::string& directory : directories) {
    names += (names.empty() ? "" : ", ") + directory;
    std::error_code error;
    std::vector<std::string> files;
    for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
         entry.increment(error)) {
      if (entry->path().extension() == ".pub") files.push_back(entry->path());
    }
    if (error && error != std::errc::no_such_file_or_directory) {
      return FailErrno(directory, error.value());
    }
    std::ranges::sort(files);
    for (const std::string& file : files) {
      for (PublicKey& key : TRY(PublicKey::Load(file))) {
        if (!std::ranges::contains(keys, key.bytes, &PublicKey::bytes)) {
          keys.push_back(std::move(key));
        }
      }
    }
  }
  if (keys.empty()) {
    return Fail(Code::kNotTrusted, "no trusted key: expected at least one *.pub file in {}", names);
  }
  return keys;
}

std::vector<PublicKey> ValidSigners(std::span<const PublicKey> trusted, std::string_view data,
                                    std::span<const std::string> signatures) {
  std::vector<PublicKey> signers;
  for (const PublicKey& key : trusted) {
    if (std::ranges::contains(signers, key.bytes, &PublicKey::bytes)) continue;
    if (std::ranges::any_of(signatures,
                            [&](const auto& signature) { return key.Verifies(data, signature); })) {
      signers.push_back(key);
    }
  }
  return signers;
}

Result<SecretKey> SecretKey::Generate() {
  std::shared_ptr<EVP_PKEY> key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), EVP_PKEY_free);
  if (!key) return Fail(Code::kFailed, "generating an ed25519 key failed");
  return SecretKey(std::move(key));
}

Result<SecretKey> SecretKey::Load(const std::string& path) {
  UniqueFd file = TRY(Open(path, O_RDONLY));
  struct stat status;
  if (::fstat(file.get(), &status) < 0) return FailErrno(path);
  if ((status.st_mode & 077) != 0) {
    return Fail(Code::kUsage,
                "{}: a secret key that others can read (mode {:04o}, expected 0600); run: chmod "
                "600 {}",
                path, status.st_mode & 07777, path);
  }
  std::array<std::byte, 4096> buffer;
  size_t size = TRY(ReadFull(file.get(), buffer));
  std::string_view text(reinterpret_cast<const char*>(buffer.data()), size);

  std::shared_ptr<EVP_PKEY> key;
  if (text.starts_with("-----BEGIN")) {
    Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
    auto no_password = [](char*, int, int, void*) { return 0; };
    key.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr), EVP_PKEY_free);
  } else {
    std::string bytes = DecodeBase64(Trim(text.substr(0, text.find('\n'))));
    if (bytes.size() == 2 * kSeedBytes) {
      key.reset(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, Bytes(bytes), kSeedBytes),
                EVP_PKEY_free);
      SecretKey secret(key);
      if (!std::ranges::equal(TRY(secret.Public()).bytes, std::string_view(bytes).substr(32),
                              [](uint8_t a, char b) { return a == static_cast<uint8_t>(b); })) {
        return Fail(Code::kUsage, "{}: the public half does not belong to the secret half", path);
      }
    }
  }
  if (!key || EVP_PKEY_get_id(key.get()) != EVP_PKEY_ED25519) {
    return Fail(Code::kUsage,
                "{}: expected an ed25519 secret key (PKCS#8 PEM, or base64 of 64 bytes as `ostree "
                "sign` takes it)",
                path);
  }
  return SecretKey(std::move(key));
}

Result<> SecretKey::Save(const std::string& path) const {
  Bio bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_PKCS8PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr) !=
      1) {
    return Fail(Code::kFailed, "{}: encoding the key failed", path);
  }
  char* data = nullptr;
  size_t size = BIO_get_mem_data(bio.get(), &data);
  UniqueFd file = TRY(Open(path, O_WRONLY | O_CREAT | O_EXCL, 0600));
  TRY_CONTEXT(path, WriteFull(file.get(), AsBytes({data, size})));
  if (::fsync(file.get()) < 0) return FailErrno(path);
  TRY_CONTEXT(path, file.Close());
  return {};
}

Result<PublicKey> SecretKey::Public() const {
  PublicKey key;
  size_t size = key.bytes.size();
  if (EVP_PKEY_get_raw_public_key(key_.get(), key.bytes.data(), &size) != 1) {
    return Fail(Code::kFailed, "reading the public half of a key failed");
  }
  return key;
}

Result<std::string> SecretKey::Sign(std::string_view data) const {
  std::string signature(kSignatureBytes, '\0');
  size_t size = signature.size();
  KeyContext context(EVP_MD_CTX_new());
  if (!context || EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) != 1 ||
      EVP_DigestSign(context.get(), reinterpret_cast<uint8_t*>(signature.data()), &size,
                     Bytes(data), data.size()) != 1 ||
      size != kSignatureBytes) {
    return Fail(Code::kFailed, "signing failed");
  }
  return signature;
}

}  // namespace hostos
