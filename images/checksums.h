// SHA256SUMS: the digests of published files, as sha256sum(1) checks them, with one signature file
// for each key beside it, as `openssl pkeyutl -verify -rawin` checks them. A release key signs
// commits too: no text that begins with a digest in hexadecimal is one, nor a role of TUF.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "images/publish/secret_key.h"
#include "updater/base/digest.h"
#include "updater/base/result.h"
#include "updater/release/signature.h"

namespace hostos {

inline constexpr std::string_view kSumsFile = "SHA256SUMS";

struct SummedFile {
  std::string name;
  uint64_t size = 0;
  Digest digest;
};

// What a file in a directory has.
Result<SummedFile> SumFile(const std::string& directory, const std::string& name);

// Writes the list and its signatures into the directory: "SHA256SUMS.ed25519.sig",
// "SHA256SUMS.ml-dsa-65.sig", and "SHA256SUMS.ed25519-2.sig" for a second key of an algorithm.
Result<> WriteSums(const std::string& directory, std::span<const SummedFile> files,
                   std::span<const SecretKey> keys);

// Finds the file in the list beside it, which trusted keys signed. Returns how many; kNotTrusted
// when these are too few, or the list does not name this file with this digest. kNotFound without a
// list.
Result<uint32_t> CheckSums(const std::string& path, const Digest& digest,
                           std::span<const PublicKey> trusted, const SignatureRule& rule);

}  // namespace hostos
