// Signatures over the bytes of an OSTree commit object, as `ostree sign` writes them, checked with
// OpenSSL: ed25519 (ostree-sign-ed25519, 64 raw bytes, RFC 8032) and ML-DSA-65 (ostree-sign-spki,
// 3309 bytes, FIPS 204), which still holds when a quantum computer breaks the first. Only distinct
// key material counts, never file names or the number of signatures.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "updater/base/result.h"

namespace hostos {

enum class Algorithm { kEd25519, kMlDsa65 };
inline constexpr Algorithm kAlgorithms[] = {Algorithm::kEd25519, Algorithm::kMlDsa65};
std::string_view Name(Algorithm algorithm);  // "ed25519", "ML-DSA-65"

// Which signatures a release needs.
enum class SignaturePolicy {
  kClassical,  // ed25519
  kHybrid,     // both: neither alone is enough
  kPq,         // ML-DSA-65
};
inline constexpr std::array<const char*, 3> kPolicyNames = {"classical", "hybrid", "pq"};
bool Demands(SignaturePolicy policy, Algorithm algorithm);
std::optional<SignaturePolicy> PolicyNamed(std::string_view name);

// The policy that demands the algorithms of both.
SignaturePolicy Stricter(SignaturePolicy a, SignaturePolicy b);

// Who must have signed a commit: of each algorithm that the policy demands, this many distinct
// trusted keys.
struct SignatureRule {
  SignaturePolicy policy = SignaturePolicy::kHybrid;
  uint32_t required = 1;  // at least 1

  bool operator==(const SignatureRule&) const = default;
};

struct Signature {
  Algorithm algorithm = Algorithm::kEd25519;
  std::string bytes;
  bool operator==(const Signature&) const = default;
};

struct PublicKey {
  Algorithm algorithm = Algorithm::kEd25519;
  std::string bytes;  // raw: 32 of ed25519, 1952 of ML-DSA-65
  std::string name;   // where it came from, for people: the file's path

  // Every key of a *.pub file, in order: ed25519 as one base64 key per line, which is what `ostree
  // sign --keys-file` takes; ML-DSA-65 as PEM (SubjectPublicKeyInfo). Empty lines and lines that
  // begin with '#' are skipped. Anything else is an error that names file:line, and so is a file
  // without a key. No message shows a secret key that is in the file by mistake.
  static Result<std::vector<PublicKey>> Load(const std::string& path);
  // The key as such a file has it, with the end of its line.
  std::string Text() const;
  // False for a signature of another algorithm, or whose length is not its algorithm's.
  bool Verifies(std::string_view data, const Signature& signature) const;
  bool SameAs(const PublicKey& other) const {
    return algorithm == other.algorithm && bytes == other.bytes;
  }
};

// The keys of every *.pub file directly in these directories, each key once. A directory that does
// not exist has no keys. No key is taken from a file that cannot be read or that contains anything
// but keys; the other files' keys still count.
struct TrustedKeys {
  std::vector<PublicKey> keys;
  std::vector<std::string> problems;  // what is not used, and why
};
TrustedKeys ReadTrustedKeys(std::span<const std::string> directories);
// No key at all is an error (kNotTrusted) that names the directories.
Result<TrustedKeys> LoadTrustedKeys(std::span<const std::string> directories);
// For a caller that was just given the directories: the first problem is an error too.
Result<std::vector<PublicKey>> LoadGivenKeys(std::span<const std::string> directories);

// The trusted keys, each key material once, that made at least one of `signatures` over `data`.
std::vector<PublicKey> ValidSigners(std::span<const PublicKey> trusted, std::string_view data,
                                    std::span<const Signature> signatures);

}  // namespace hostos
