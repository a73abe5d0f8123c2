// Public keys as TUF writes them: ed25519 (hexadecimal), ECDSA on P-256 and RSA with PSS (PEM). A
// key of another kind is no error: it verifies nothing, and the rest of the file still counts.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "updater/tuf/json.h"

struct evp_pkey_st;

namespace hostos::tuf {

class Key {
 public:
  explicit Key(const Object& key);

  // SHA-256 where the scheme leaves a choice. A signature whose length the scheme fixes (64 bytes
  // for ed25519, the modulus's for RSA) has exactly that length.
  bool Verifies(std::string_view data, std::string_view signature) const;

  // The same key material, whatever the two are called and however they are written.
  bool operator==(const Key& other) const;

 private:
  std::shared_ptr<evp_pkey_st> key_;  // none: of a kind that we do not know
};

// The bytes of a signature; empty when the text is not hexadecimal.
std::string DecodeHex(const std::string& hex);

}  // namespace hostos::tuf
