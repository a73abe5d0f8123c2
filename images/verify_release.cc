#include "images/verify_release.h"

#include <sys/stat.h>

#include "images/reseal.h"
#include "updater/release/commit.h"
#include "updater/source/archive.h"

namespace hostos {
namespace {

// The signed sizes bound what a node downloads, so a wrong size would stop every node.
Result<uint64_t> CheckSizes(const SignedRelease& release) {
  uint64_t total = 0;
  for (const ObjectSize& object : release.commit.sizes) {
    const std::string path = release.repo.path() + "/" + ObjectPath(object);
    struct stat status;
    if (::stat(path.c_str(), &status) < 0)
      return Fail(Code::kNotTrusted, "object {}: expected at {}, found none", object.checksum.Hex(),
                  path);
    const auto size = static_cast<uint64_t>(status.st_size);
    if (size != object.archived)
      return Fail(Code::kNotTrusted, "object {}: {} has {} bytes, signed are {}",
                  object.checksum.Hex(), path, size, object.archived);
    total += size;
  }
  return total;
}

}  // namespace

Result<Release> VerifyRelease(const ReleaseQuery& query, Progress& progress,
                              std::vector<Proof>& proofs) {
  const SignedRelease release = TRY(OpenSignedRelease(query));
  const Release& facts = release.commit.release;
  proofs.push_back({"signatures",
                    std::format("{} of {} required keys signed commit {}", release.valid_signatures,
                                query.signatures.required, facts.commit.Hex())});
  proofs.push_back({"release", std::format("{} for {} in channel {}", facts.version,
                                           facts.architecture, facts.channel)});
  const uint64_t archived = TRY(CheckSizes(release));
  proofs.push_back({"sizes", std::format("{} objects have their signed sizes, {} bytes in all",
                                         release.commit.sizes.size(), archived)});

  const ResealStats stats = TRY(Reseal(release, {}, progress));
  proofs.push_back({"objects", std::format("{} objects have their checksums, {} bytes of content",
                                           stats.objects, stats.content)});
  proofs.push_back({"image", std::format("seals to {} bytes and a hash tree of {}, as signed",
                                         facts.image_size, facts.verity_size)});
  proofs.push_back({"root hash", facts.root_hash.Hex() + " comes out, as signed"});
  proofs.push_back({"uki", std::format("{} bytes, SHA-256 {}, as signed; boots that root hash",
                                       facts.uki_size, facts.uki_digest.Hex())});
  if (facts.rescue)
    proofs.push_back({"rescue", std::format("{} bytes, SHA-256 {}, as signed", facts.rescue->size,
                                            facts.rescue->digest.Hex())});
  return facts;
}

}  // namespace hostos
