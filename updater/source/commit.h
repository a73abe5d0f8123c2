// The OSTree commit object and its detached metadata (ostree-core, "Commit objects") as raw bytes,
// read and written with GVariant alone. Reading is strict: normal form, caps before parsing, every
// key of ours present with its type, names and sizes in range. Nothing here is trusted before
// VerifyCommit said so.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "updater/base/digest.h"
#include "updater/base/release.h"
#include "updater/base/result.h"
#include "updater/source/sign.h"

namespace hostos {

inline constexpr size_t kMaxCommitBytes = 16 << 20;
inline constexpr size_t kMaxDetachedBytes = 1 << 20;
// Each is tried with each trusted key, whenever a commit is verified.
inline constexpr size_t kMaxSignatures = 64;

// OSTree's numbers (OstreeObjectType).
enum class ObjectType : uint8_t { kFile = 1, kDirtree = 2, kDirmeta = 3, kCommit = 4 };

// One object of the commit's tree, from the signed "ostree.sizes".
struct ObjectSize {
  Digest checksum;
  ObjectType type = ObjectType::kFile;
  uint64_t archived = 0;  // bytes in the archive repository: what a download moves
  uint64_t unpacked = 0;  // bytes in a bare repository
};

struct Commit {
  Release release;  // release.commit is the SHA-256 of the parsed bytes
  Digest root_dirtree;
  Digest root_dirmeta;
  std::vector<ObjectSize> sizes;  // every object of the tree, each once
};

// kNotTrusted when malformed (naming the key, the expected and the found).
Result<Commit> ParseCommit(std::string_view commit);

// The bytes of the commit object that says this. release.commit is not looked at: it follows from
// the bytes. kUsage when a name is none.
Result<std::string> BuildCommit(const Commit& commit);

// True for what a version, a channel or an architecture may be: 1 to 29 characters of
// [A-Za-z0-9.-], beginning with a letter or digit. It becomes part of ref names, file names on a
// FAT file system and GPT names (36 characters with the "hostos_" before it).
bool IsValidName(std::string_view name);
inline constexpr const char* kNameRule = "1 to 29 characters of [A-Za-z0-9.-]";

// "hostos/<architecture>/<channel>" and "hostos/<architecture>/releases/<version>".
std::string ChannelRef(const std::string& architecture, const std::string& channel);
std::string ReleaseRef(const std::string& architecture, const std::string& version);

// The signatures in serialized detached metadata (a{sv}), keys "ostree.sign.ed25519" and
// "ostree.sign.spki" (both aay). Empty bytes, and metadata without the keys, have none. Malformed
// metadata is kNotTrusted, and so are more than kMaxSignatures.
Result<std::vector<Signature>> ReadSignatures(std::string_view detached);
// The same metadata with these signatures too; a signature that is there stays there once, other
// keys are kept.
Result<std::string> AddSignatures(std::string_view detached, std::span<const Signature> add);

// How many distinct trusted keys signed these commit bytes, of the algorithm with the fewest.
// kNotTrusted when that is fewer than required, saying how many of how many and by which keys.
Result<uint32_t> VerifyCommit(std::string_view commit, std::string_view detached,
                              std::span<const PublicKey> trusted, const SignatureRule& rule);

}  // namespace hostos
