#include "updater/base/digest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

// SHA-256 is always available. Only memory can be missing, and then nothing here can go on.
void Check(int ok) {
  if (ok != 1) std::abort();
}

const EVP_MD* Algorithm() {
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return algorithm;
}

int Nibble(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

std::string Hex(std::span<const uint8_t> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(bytes.size() * 2);
  for (uint8_t byte : bytes) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

std::string Digest::Hex() const {
  return hostos::Hex(bytes);
}

Result<Digest> Digest::FromHex(std::string_view hex) {
  Digest digest;
  bool good = hex.size() == 2 * digest.bytes.size();
  for (size_t i = 0; good && i < digest.bytes.size(); i++) {
    int high = Nibble(hex[2 * i]), low = Nibble(hex[2 * i + 1]);
    good = high >= 0 && low >= 0;
    digest.bytes[i] = static_cast<uint8_t>(high << 4 | low);
  }
  if (!good)
    return Fail(Code::kFailed, "expected 64 lower-case hexadecimal digits, found \"{}\"",
                hex.substr(0, 80));
  return digest;
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  Check(EVP_DigestInit_ex2(context_, Algorithm(), nullptr));
}

Sha256::Sha256(const Sha256& other) : context_(EVP_MD_CTX_new()) {
  *this = other;
}

Sha256& Sha256::operator=(const Sha256& other) {
  if (this != &other) Check(EVP_MD_CTX_copy_ex(context_, other.context_));
  return *this;
}

Sha256::~Sha256() {
  EVP_MD_CTX_free(context_);
}

void Sha256::Update(std::span<const std::byte> data) {
  Check(EVP_DigestUpdate(context_, data.data(), data.size()));
}

Digest Sha256::Finish() {
  Digest digest;
  Check(EVP_DigestFinal_ex(context_, digest.bytes.data(), nullptr));
  return digest;
}

Digest Sha256::Of(std::span<const std::byte> data) {
  Sha256 hash;
  hash.Update(data);
  return hash.Finish();
}

Result<Digest> HashFile(int fd, uint64_t size) {
  Sha256 hash;
  std::vector<std::byte> buffer(1 << 20);
  for (uint64_t offset = 0; offset < size;) {
    const auto piece = std::span(buffer).first(std::min<uint64_t>(buffer.size(), size - offset));
    const size_t n = TRY(PreadFull(fd, piece, offset));
    if (n == 0) return Fail(Code::kFailed, "expected {} bytes, found {}", size, offset);
    hash.Update(piece.first(n));
    offset += n;
  }
  return hash.Finish();
}

}  // namespace hostos
