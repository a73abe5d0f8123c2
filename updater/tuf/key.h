// Public keys as TUF writes them: ed25519 (hexadecimal), ECDSA on P-256 and RSA with PSS (PEM), the
// latter with the digest that its scheme names: SHA-256, SHA-384 or SHA-512. A key of another kind
// is no error: it verifies nothing, and the rest of the file still counts.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "updater/tuf/json.h"

struct evp_pkey_st;

namespace hostos::tuf {

class Key {
 public:
  // Keeps what is written there. OpenSSL sees it when the key is used: of metadata that has come,
  // after the signatures over it were checked.
  explicit Key(const Object& key);

  // A signature whose length the scheme fixes (64 bytes for ed25519, the modulus's for RSA) has
  // exactly that length.
  bool Verifies(std::string_view data, std::string_view signature) const;

  // The same key material, whatever the two are called, however they are written, and whatever
  // digest they are used with.
  bool operator==(const Key& other) const;

 private:
  struct Material;
  std::shared_ptr<Material> material_;  // of all copies
};

// The bytes of a signature; empty when the text is not hexadecimal.
std::string DecodeHex(const std::string& hex);

}  // namespace hostos::tuf
