// Signatures over the bytes of an OSTree commit object, as `ostree sign` writes them, made and
// checked with OpenSSL: ed25519 (ostree-sign-ed25519, 64 raw bytes, RFC 8032) and ML-DSA-65
// (ostree-sign-spki, 3309 bytes, FIPS 204), which also holds when a quantum computer breaks the
// first. What counts is distinct key material, never file names or the number of signatures.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "updater/base/result.h"
#include "updater/source/passphrase.h"

struct evp_pkey_st;

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

// What demands the algorithms of both.
SignaturePolicy Stricter(SignaturePolicy a, SignaturePolicy b);

// Who has to have signed a commit: as many distinct trusted keys of each algorithm that the policy
// demands.
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

  // Every key of a *.pub file, in order: ed25519 as one base64 key a line, which is what `ostree
  // sign --keys-file` takes; ML-DSA-65 as PEM (SubjectPublicKeyInfo). Empty lines and lines that
  // begin with '#' are skipped; what is no key is an error naming file:line, and so is a file
  // without any. No message has a secret that stands there by mistake.
  static Result<std::vector<PublicKey>> Load(const std::string& path);
  // As such a file has it, with the end of its line.
  std::string Text() const;
  // False for a signature of another algorithm, or of another length than its algorithm's.
  bool Verifies(std::string_view data, const Signature& signature) const;
  bool SameAs(const PublicKey& other) const {
    return algorithm == other.algorithm && bytes == other.bytes;
  }
};

// The keys of every *.pub file directly in these directories, each key once. A directory that does
// not exist has no keys. A file that cannot be read, or has anything else than keys, trusts nobody:
// the releases that the other keys signed go on.
struct TrustedKeys {
  std::vector<PublicKey> keys;
  std::vector<std::string> problems;  // what is not used, and why
};
TrustedKeys ReadTrustedKeys(std::span<const std::string> directories);
// No key at all is an error (kNotTrusted) that names the directories.
Result<TrustedKeys> LoadTrustedKeys(std::span<const std::string> directories);
// For whoever named the directories just now: the first problem is an error too.
Result<std::vector<PublicKey>> LoadGivenKeys(std::span<const std::string> directories);

// The trusted keys, each key material once, that made at least one of `signatures` over `data`.
std::vector<PublicKey> ValidSigners(std::span<const PublicKey> trusted, std::string_view data,
                                    std::span<const Signature> signatures);

class SecretKey {
 public:
  static Result<SecretKey> Generate(Algorithm algorithm);
  // One of each algorithm: what a hybrid policy asks for.
  static Result<std::vector<SecretKey>> GenerateHybrid();
  // Every key of a PKCS#8 PEM file, for whose passphrase `ask` is asked if it is encrypted; or one
  // in OSTree's form: base64 of the seed (32 bytes) and public key (32 bytes) of ed25519. Refused
  // when others than its owner may read the file. In place of a file's path: "env:NAME", the
  // environment variable with what would be in the file, or the "pkcs11:" URI of a key on a token.
  static Result<std::vector<SecretKey>> Load(const std::string& source,
                                             const AskPassphrase& ask = {});
  // Into one file, as PKCS#8 PEM with mode 0600; with a passphrase encrypted by AES-256-CBC with a
  // key of scrypt (RFC 8018, RFC 7914). An existing file is never replaced.
  static Result<> Save(std::span<const SecretKey> keys, const std::string& path,
                       std::string_view passphrase = "");

  Result<PublicKey> Public() const;
  Result<Signature> Sign(std::string_view data) const;

 private:
  SecretKey(Algorithm algorithm, std::shared_ptr<evp_pkey_st> key)
      : algorithm_(algorithm), key_(std::move(key)) {}
  Algorithm algorithm_;
  std::shared_ptr<evp_pkey_st> key_;
};

// Before the name of an environment variable, in the place of a file.
inline constexpr std::string_view kVariable = "env:";

// The keys of all these sources.
Result<std::vector<SecretKey>> LoadSecretKeys(std::span<const std::string> sources,
                                              const AskPassphrase& ask = {});

// A file that its owner alone may read, else it is refused; of 64 KiB at most.
Result<std::string> ReadSecretFile(const std::string& path);

// Whether `text` has a secret key in it: as its first line one in OSTree's form, anywhere a PEM
// block of any kind, or as all of it one in DER, not encrypted. A program or a page that only
// speaks of such blocks has none.
bool HasSecretKey(std::string_view text);

// The public halves, as a *.pub file.
Result<std::string> PublicText(std::span<const SecretKey> keys);

}  // namespace hostos
