#include "updater/release/openssl_key.h"

#include <algorithm>

#include "updater/base/text.h"

namespace hostos {

const char* ProviderName(Algorithm algorithm) {
  return algorithm == Algorithm::kEd25519 ? "ED25519" : "ML-DSA-65";
}

std::string EncodeBase64(std::string_view bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3), '\0');
  EVP_EncodeBlock(reinterpret_cast<uint8_t*>(text.data()), Bytes(bytes),
                  static_cast<int>(bytes.size()));
  return text;
}

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

Key FromOstree(std::string_view line) {
  const std::string bytes = DecodeBase64(line);
  if (bytes.size() != 2 * kSeedBytes) return nullptr;
  Key key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, Bytes(bytes), kSeedBytes));
  const bool whole = key && RawPublic(key.get(), Algorithm::kEd25519) ==
                                std::string_view(bytes).substr(kSeedBytes);
  return whole ? std::move(key) : nullptr;
}

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

std::string_view FirstLine(std::string_view text) {
  return Trim(text.substr(0, text.find('\n')));
}

}  // namespace hostos
