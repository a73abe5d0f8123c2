// Where a release came from: an in-toto statement v1 with a SLSA provenance v1 predicate, in a DSSE
// envelope that the release's keys signed (in-toto attestation framework; slsa.dev/provenance/v1;
// secure-systems-lab/dsse, "DSSEv1" pre-authentication encoding). docs/provenance.md has the
// fields.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "images/publish/secret_key.h"
#include "images/signed_release.h"
#include "updater/base/release.h"
#include "updater/base/result.h"
#include "updater/tuf/json.h"

namespace hostos {

inline constexpr size_t kMaxProvenanceBytes = 16 << 20;

struct BuildInputs {
  std::string file;  // inputs.json, as `rootfs/build release` writes it
  std::string cmdline_append, after;
};

// The statement, as JSON. kNotTrusted names the field of the file that is missing or of another
// type.
Result<std::string> DescribeBuild(const BuildInputs& inputs, const Release& release);

// The Debian packages of an inputs.json, as the statement has them: package URL to SHA-256.
Result<std::map<std::string, std::string>> DebsIn(std::string_view inputs);

// Path in the repository of the envelope of a release, before it is published; from then on it is
// at SbomPath() of this format.
inline constexpr const char* kProvenanceFormat = "intoto";
std::string ProvenancePath(const Digest& root_hash);

// The statement, signed by every key.
Result<std::string> Envelop(std::string_view statement, std::span<const SecretKey> keys);

struct Provenance {
  tuf::Json statement;
  uint32_t signers = 0;  // distinct trusted keys, of the algorithm with the fewest
};

// Opens an envelope. kNotTrusted when it lacks signatures that the rule asks for, or is about
// another release.
Result<Provenance> OpenProvenance(std::string_view envelope, const Release& release,
                                  std::span<const PublicKey> trusted, const SignatureRule& rule);

// Of a release in a repository.
Result<Provenance> ReadProvenance(const ReleaseQuery& query, const std::string& product);

// For people: what is in the statement, in a few lines.
std::string TextOf(const Provenance& provenance);

}  // namespace hostos
