#include "updater/engine/rescue_image.h"

#include <algorithm>
#include <ranges>

#include "bootctl/entry_name.h"
#include "updater/base/text.h"
#include "updater/base/unique_fd.h"
#include "updater/engine/releases.h"
#include "updater/release/image_parts.h"

namespace hostos {
namespace {

constexpr uint64_t kMargin = 1 << 20;  // FAT rounds up to clusters and keeps directories

// The rescue that belongs on the ESP. Absent when the present one stays: a trial has not ended;
// another release was kept later, before a rollback; the running release brings none, or is not
// known.
std::optional<RescueImage> RescueWanted(const Record& record, const BootState& boot,
                                        const std::optional<Release>& running) {
  if (!boot.release() || boot.on_trial() || !running) return std::nullopt;
  return KeptLast(record, running->root_hash) ? running->rescue : std::nullopt;
}

}  // namespace

bool KeptLast(const Record& record, const Digest& root_hash) {
  for (const HistoryEntry& entry : record.history | std::views::reverse)
    if (entry.outcome == Outcome::kCommitted) return entry.release.root_hash == root_hash;
  return true;
}

bool HasRescue(const BootState& boot, const RescueImage& rescue) {
  const BootEntry* found = boot.Rescue();
  return found && found->file == RescueFile(rescue.digest) && found->size == rescue.size &&
         std::ranges::count_if(boot.entries, IsRescue) == 1;
}

bool RescueFits(const RescueImage& rescue, uint64_t free) {
  return rescue.size <= free && free - rescue.size >= kMargin;
}

Result<bool> RenewRescue(World& world, const Record& record) {
  const BootState boot = TRY(world.boot.Read());
  if (!boot.release()) return false;
  const std::optional<Release> running = ReleaseOf(world, boot.release()->root_hash);
  const std::optional<RescueImage> wanted = RescueWanted(record, boot, running);
  if (!wanted) return false;
  if (HasRescue(boot, *wanted))
    if (const Result<Digest> found = world.boot.HashRescue(); found && *found == wanted->digest)
      return false;
  UniqueFd parts = TRY(Open(world.rescue_file, O_RDONLY | O_NOFOLLOW));
  const UniqueFd image = TRY(OpenImage(
      std::move(parts), wanted->size,
      [](const std::string& path) { return Open(path, O_RDONLY | O_NOFOLLOW); },
      world.state.path()));
  TRY(world.boot.SetRescue(*wanted, image.get()));
  return true;
}

RescueStatus DescribeRescue(const Record& record, const BootState& boot,
                            const std::optional<Release>& running) {
  RescueStatus status;
  if (const BootEntry* found = boot.Rescue()) {
    status.file = found->file;
    status.version = found->version;
  }
  const std::optional<RescueImage> wanted = RescueWanted(record, boot, running);
  if (!wanted || HasRescue(boot, *wanted)) return status;
  status.problem = std::format("expected the rescue of {} on the ESP, found {}", running->version,
                               status.file.empty() ? "none" : "that of " + status.version);
  status.problem +=
      RescueFits(*wanted, boot.esp.free)
          ? "; the next boot tries again; why: journalctl -b -u hostos-health-gate.service"
          : std::format("; it needs {} beside the one that is there, {} are free",
                        Megabytes(wanted->size + kMargin), Megabytes(boot.esp.free));
  return status;
}

Result<std::optional<RescueProof>> VerifyRescue(World& world) {
  const BootState boot = TRY(world.boot.Read());
  const BootEntry* rescue = boot.Rescue();
  if (!rescue) return std::nullopt;
  RescueProof proof{.file = rescue->file, .version = rescue->version};
  const Digest found = TRY(world.boot.HashRescue());
  for (Slot slot : {Slot::A, Slot::B}) {
    const std::optional<Digest>& root_hash = boot.slot(slot).root_hash;
    const auto release = root_hash ? ReleaseOf(world, *root_hash) : std::nullopt;
    if (!release || !release->rescue) continue;
    const Digest& expected = release->rescue->digest;
    if (found != expected && rescue->file != RescueFile(expected)) continue;
    proof.release = release->version;
    proof.problem = found == expected
                        ? ""
                        : std::format("expected SHA-256 {}, found {}", expected.Hex(), found.Hex());
    break;
  }
  return proof;
}

}  // namespace hostos
