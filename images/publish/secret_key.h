// The secret half of signing: keys of the algorithms in signature.h, from files, the environment or
// a token.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "images/publish/passphrase.h"
#include "updater/base/result.h"
#include "updater/release/signature.h"

struct evp_pkey_st;

namespace hostos {

class SecretKey {
 public:
  static Result<SecretKey> Generate(Algorithm algorithm);
  // One key of each algorithm, as a hybrid policy demands.
  static Result<std::vector<SecretKey>> GenerateHybrid();
  // Every key of a PKCS#8 PEM file, for which `ask` returns the passphrase if it is encrypted; or
  // one key in OSTree's form: base64 of ed25519's seed (32 bytes) and public key (32 bytes). A file
  // is refused when others than its owner may read it. In place of a path: "env:NAME", an
  // environment variable with the content of such a file, or the "pkcs11:" URI of a key on a token.
  static Result<std::vector<SecretKey>> Load(const std::string& source,
                                             const AskPassphrase& ask = {});
  // Writes the keys into one file, as PKCS#8 PEM with mode 0600. With a passphrase it is encrypted
  // by AES-256-CBC with a key derived by scrypt (RFC 8018, RFC 7914). Never replaces a file.
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

// The prefix of an environment variable's name in place of a path.
inline constexpr std::string_view kVariable = "env:";

// The keys from all these sources.
Result<std::vector<SecretKey>> LoadSecretKeys(std::span<const std::string> sources,
                                              const AskPassphrase& ask = {});

// The public halves, as the text of a *.pub file.
Result<std::string> PublicText(std::span<const SecretKey> keys);

}  // namespace hostos
