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
    for (const char* key : {"time", "root_hash", "problem"}) reader.Need(key);
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
                                             const Digest& root_hash,
                                             std::vector<std::string>& problems) {
  const std::string file = VerificationFile(state, slot);
  Result<std::string> text = ReadFile(file, 64 << 10);
  if (!text && text.error().code == Code::kNotFound) return std::nullopt;
  const Result<Verification> read = std::move(text).and_then(VerificationFromJson);
  if (read && read->root_hash == root_hash) return *read;
  if (!read && read.error().code != Code::kNotSupported)
    problems.push_back(std::format("{}: {}", file, read.error().message));
  return std::nullopt;
}

}  // namespace hostos
