// Ed25519 signatures as OSTree writes them (`ostree sign`, ostree-sign-ed25519): 64 raw bytes over
// the bytes of the commit object, made and checked with OpenSSL. A public key file holds one base64
// key of 32 bytes a line, as `ostree sign --keys-file` takes it. What counts is distinct key
// material, never file names or the number of signatures.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "updater/base/result.h"

struct evp_pkey_st;

namespace hostos {

struct PublicKey {
  std::array<uint8_t, 32> bytes{};
  std::string name;  // where it came from, for people: the file's path

  // Every key of a *.pub file, in order. Empty lines and lines that begin with '#' are skipped; a
  // line that is no key is an error naming file:line, and so is a file without any key.
  static Result<std::vector<PublicKey>> Load(const std::string& path);
  // One line of such a file.
  std::string Base64() const;
  // False for a signature whose length is not exactly 64 bytes.
  bool Verifies(std::string_view data, std::string_view signature) const;
};

// The keys of every *.pub file directly in these directories, each key once. A directory that does
// not exist has no keys; no key at all is an error (kNotTrusted) that names the directories.
Result<std::vector<PublicKey>> LoadTrustedKeys(std::span<const std::string> directories);

// The trusted keys, each key material once, that made at least one of `signatures` over `data`.
std::vector<PublicKey> ValidSigners(std::span<const PublicKey> trusted, std::string_view data,
                                    std::span<const std::string> signatures);

class SecretKey {
 public:
  static Result<SecretKey> Generate();
  // A PKCS#8 PEM file, or OSTree's form: base64 of the seed (32 bytes) and public key (32 bytes).
  // Refused when others than its owner may read the file.
  static Result<SecretKey> Load(const std::string& path);
  // PKCS#8 PEM with mode 0600. An existing file is never replaced.
  Result<> Save(const std::string& path) const;

  Result<PublicKey> Public() const;
  // 64 raw bytes.
  Result<std::string> Sign(std::string_view data) const;

 private:
  explicit SecretKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)) {}
  std::shared_ptr<evp_pkey_st> key_;
};

}  // namespace hostos
