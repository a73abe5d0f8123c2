#include "updater/release/secret_text.h"

#include <openssl/pkcs12.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/stat.h>

#include <algorithm>
#include <span>

#include "updater/base/text.h"
#include "updater/base/unique_fd.h"
#include "updater/release/openssl_key.h"

namespace hostos {
namespace {

constexpr size_t kMaxSecretBytes = 64 << 10;

// Removes white space from the front, also "\n" as JSON and shells write it.
std::string_view SkipBlank(std::string_view text) {
  for (;;) {
    text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
    if (!text.starts_with("\\n") && !text.starts_with("\\r")) return text;
    text.remove_prefix(2);
  }
}

// `text` follows the words "PRIVATE KEY" in a label: true if it is the rest of a key.
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
  // Not string_view::find(), because a root has hundreds of megabytes.
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

// True if `text` is one key in DER and nothing else: plain, encrypted (RFC 5958,
// EncryptedPrivateKeyInfo), or in a store of keys (PKCS#12). Only tries what begins like a
// sequence.
bool IsSecretDer(std::string_view text) {
  constexpr uint8_t kSequence = 0x30;
  if (text.empty() || Bytes(text)[0] != kSequence || text.size() > kMaxSecretBytes) return false;
  const auto size = static_cast<long>(text.size());
  const uint8_t *end = Bytes(text) + size, *plain = Bytes(text), *sealed = plain, *store = plain;
  const Key key(d2i_AutoPrivateKey(nullptr, &plain, size));
  const std::unique_ptr<X509_SIG, OpenSslFree> encrypted(d2i_X509_SIG(nullptr, &sealed, size));
  const std::unique_ptr<PKCS12, OpenSslFree> keys(d2i_PKCS12(nullptr, &store, size));
  // A digest with its algorithm has the form of an encrypted key.
  const auto is_password_based = [](const X509_SIG& sig) {
    const X509_ALGOR* algorithm = nullptr;
    X509_SIG_get0(&sig, &algorithm, nullptr);
    return EVP_PBE_find(EVP_PBE_TYPE_OUTER, OBJ_obj2nid(algorithm->algorithm), nullptr, nullptr,
                        nullptr) == 1;
  };
  return (key && plain == end) || (keys && store == end) ||
         (encrypted && sealed == end && is_password_based(*encrypted));
}

// True if `text`, given as a secret key, is a public one.
bool IsPublic(std::string_view text) {
  while (text.starts_with('#')) text = Trim(text.substr(std::min(text.find('\n'), text.size())));
  const size_t end = text.find(text.starts_with(kPemBegin) ? kPemEnd : "\n");
  const size_t size = text.starts_with(kPemBegin) ? kPemEnd.size() : 0;
  return ParsePublic(text.substr(0, end == text.npos ? end : end + size)).has_value();
}

}  // namespace

bool HasSecretKey(std::string_view text) {
  return FromOstree(FirstLine(text)) || IsSecretDer(text) || HasSecretPem(text);
}

Result<std::string> ReadSecretFile(const std::string& path) {
  const UniqueFd file = TRY(Open(path, O_RDONLY));
  struct stat status;
  if (::fstat(file.get(), &status) < 0) return FailErrno(path);
  std::string text(kMaxSecretBytes + 1, '\0');
  text.resize(TRY_CONTEXT(path, ReadFull(file.get(), std::as_writable_bytes(std::span(text)))));
  if (text.size() > kMaxSecretBytes)
    return Fail(Code::kUsage, "{}: expected a secret of at most {} bytes, found more", path,
                kMaxSecretBytes);
  if ((status.st_mode & 077) == 0) return text;
  TRY(CheckNotPublic(text, path));
  return Fail(Code::kUsage,
              "{}: a secret that others can read (mode {:04o}, expected 0600); run: chmod 600 {}",
              path, status.st_mode & 07777, path);
}

Result<> CheckNotPublic(std::string_view text, const std::string& source) {
  if (!IsPublic(Trim(text))) return {};
  return Fail(Code::kUsage,
              "{}: expected a secret key, found a public one: give the file that `hostimage keygen "
              "--secret` wrote",
              source);
}

}  // namespace hostos
