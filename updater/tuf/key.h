// Public keys as TUF writes them: ed25519 (hexadecimal), ECDSA on P-256 and RSA-PSS (both PEM), RSA
// with the digest its scheme names: SHA-256, SHA-384 or SHA-512. A key of another kind is no error:
// it verifies nothing, and the rest of the file still counts.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "updater/tuf/json.h"

struct evp_pkey_st;

namespace hostos::tuf {

class Key {
 public:
  // Only stores the text. OpenSSL parses it when the key is first used: for keys in newly fetched
  // metadata, after that metadata's own signatures were checked.
  explicit Key(const Object& key);

  // Where the scheme fixes a signature's length (64 bytes for ed25519, the modulus's for RSA), it
  // must have exactly that length.
  bool Verifies(std::string_view data, std::string_view signature) const;

  // Whether both have the same key material, regardless of their names, encodings and digests.
  bool operator==(const Key& other) const;

 private:
  struct Material;
  std::shared_ptr<Material> material_;  // shared by all copies
};

// The bytes of a signature; empty if the text is not hexadecimal.
std::string DecodeHex(const std::string& hex);

}  // namespace hostos::tuf
