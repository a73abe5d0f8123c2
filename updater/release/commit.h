// The OSTree commit object and its detached metadata (ostree-core, "Commit objects") as raw bytes,
// read with GVariant alone. Reading is strict: normal form, caps before parsing, every key that
// HostOS writes present with its type, names and sizes in range. Nothing in it is trusted before
// VerifyCommit succeeds.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "updater/base/digest.h"
#include "updater/base/release.h"
#include "updater/base/result.h"
#include "updater/release/signature.h"

namespace hostos {

inline constexpr size_t kMaxCommitBytes = 16 << 20;
inline constexpr size_t kMaxDetachedBytes = 1 << 20;
// Each signature is tried with each trusted key whenever a commit is verified.
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

// Where an archive repository keeps an object: "objects/ab/cdef....filez".
std::string ObjectPath(const Digest& checksum, std::string_view extension);
std::string ObjectPath(const ObjectSize& object);

struct Commit {
  Release release;  // release.commit is the SHA-256 of the parsed bytes
  Digest root_dirtree;
  Digest root_dirmeta;
  std::vector<ObjectSize> sizes;  // every object of the tree, each once
  std::vector<uint32_t> layout;   // hostos.layout, Tree::starts; seal format 2
};

// A parsed commit with the bytes it was read from and the signatures over them.
struct SignedCommit : Commit {
  std::string bytes;
  std::string signatures;  // serialized detached metadata
};

// The type of the commit object, and keys that reader and writer share.
inline constexpr char kCommitType[] = "(a{sv}aya(say)sstayay)";
inline constexpr char kSizesKey[] = "ostree.sizes";
inline constexpr char kLayoutKey[] = "hostos.layout";
inline constexpr char kRescueDigestKey[] = "hostos.rescue-sha256";
inline constexpr char kRescueSizeKey[] = "hostos.rescue-size";

// kNotTrusted when malformed, naming the key, what was expected and what was found.
Result<Commit> ParseCommit(std::string_view commit);
Result<SignedCommit> ParseSignedCommit(std::string bytes, std::string signatures);

// True for a valid version, channel or architecture: 1 to 29 characters of [A-Za-z0-9.-], beginning
// with a letter or digit. Names become part of ref names, file names on a FAT file system, and GPT
// names (36 characters, with "hostos_" before the name).
bool IsValidName(std::string_view name);
inline constexpr const char* kNameRule = "1 to 29 characters of [A-Za-z0-9.-]";

// "hostos/<architecture>/<channel>" and "hostos/<architecture>/releases/<version>".
std::string ChannelRef(const std::string& architecture, const std::string& channel);
std::string ReleaseRef(const std::string& architecture, const std::string& version);

// The signatures in serialized detached metadata (a{sv}), under the keys "ostree.sign.ed25519" and
// "ostree.sign.spki" (both aay). Empty bytes, and metadata without these keys, have none.
// kNotTrusted for malformed metadata and for more than kMaxSignatures.
Result<std::vector<Signature>> ReadSignatures(std::string_view detached);

// The key in detached metadata under which these signatures are.
const char* SignaturesKey(Algorithm algorithm);

// How many distinct trusted keys signed the data, counted for the algorithm with the fewest.
// kNotTrusted when that is fewer than required, with the numbers and the names of the keys.
Result<uint32_t> CountSigners(std::string_view data, std::span<const Signature> signatures,
                              std::span<const PublicKey> trusted, const SignatureRule& rule);
// The same for a commit with the signatures in its detached metadata.
Result<uint32_t> VerifyCommit(std::string_view commit, std::string_view detached,
                              std::span<const PublicKey> trusted, const SignatureRule& rule);

}  // namespace hostos
