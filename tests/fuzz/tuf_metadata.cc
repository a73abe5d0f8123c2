#include "tests/fuzz/fuzz.h"
#include "updater/tuf/metadata.h"
#include "updater/tuf/name.h"

using namespace hostos;

FUZZ(tuf_metadata, input) {
  const Result<tuf::Json> json = tuf::ParseJson(input, tuf::kTargetsCap);
  if (json) {
    // Signed content means the same to everybody who reads it again. The canonical form does not
    // escape control characters, so it is not always JSON.
    const std::string canonical = tuf::CanonicalJson(*json);
    const Result<tuf::Json> again = tuf::ParseJson(canonical, tuf::kTargetsCap);
    PROMISE(!again || (*again == *json && tuf::CanonicalJson(*again) == canonical));
  }
  if (const Result<tuf::Root> root = tuf::Root::Parse(input)) {
    PROMISE(json && root->version >= 1 && root->root.threshold >= 1);
    for (const tuf::Signature& signature : root->signatures) {
      for (const auto& [keyid, key] : root->root.keys)
        (void)key.Verifies(root->payload, signature.bytes);
    }
  }
  if (const Result<tuf::Timestamp> timestamp = tuf::Timestamp::Parse(input))
    PROMISE(json && timestamp->snapshot.version >= 1);
  if (const Result<tuf::Snapshot> snapshot = tuf::Snapshot::Parse(input)) {
    for (const auto& [name, meta] : snapshot->meta) PROMISE(meta.version >= 1);
  }
  if (const Result<tuf::Targets> targets = tuf::Targets::Parse("targets", input)) {
    for (const auto& [path, target] : targets->targets) {
      PROMISE(target.length && !target.hashes.empty() && tuf::StaysBelow(path));
      for (const tuf::DelegatedRole& role : targets->delegations.For(path))
        PROMISE(role.name != "targets" && role.role.threshold >= 1);
    }
    (void)targets->delegations.For("a/b");
  }
}
