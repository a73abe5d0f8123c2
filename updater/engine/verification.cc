#include "updater/engine/verification.h"

#include "updater/base/atomic_file.h"
#include "updater/engine/record_json.h"

namespace hostos {
namespace {

std::string VerificationFile(const StateDir& state, Slot slot) {
  return std::format("{}/verified-{}.json", state.path(), slot == Slot::A ? 'a' : 'b');
}

}  // namespace

std::string ToJson(const Verification& verification) {
  const nlohmann::json out = {{"format", Verification::kFormat},
                              {"time", verification.time},
                              {"root_hash", verification.root_hash.Hex()},
                              {"problem", verification.problem}};
  return out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

Result<Verification> VerificationFromJson(std::string_view text) {
  return ReadDocument<Verification>(text, [](JsonReader& reader) {
    return Verification{reader.Number("time"), reader.Hash("root_hash"), reader.String("problem")};
  });
}

Result<> SaveVerification(const StateDir& state, Slot slot, const Verification& verification) {
  return WriteFileAtomically(VerificationFile(state, slot), ToJson(verification));
}

Result<> ForgetVerification(const StateDir& state, Slot slot) {
  return RemoveFileDurably(VerificationFile(state, slot));
}

std::optional<Verification> ReadVerification(const StateDir& state, Slot slot,
                                             const Digest& root_hash) {
  const Result<std::string> text = ReadFile(VerificationFile(state, slot), 64 << 10);
  if (!text) return std::nullopt;
  const Result<Verification> read = VerificationFromJson(*text);
  if (!read || read->root_hash != root_hash) return std::nullopt;
  return *read;
}

}  // namespace hostos
