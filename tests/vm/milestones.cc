#include "tests/vm/milestones.h"

#include <sys/file.h>

#include <filesystem>

#include "tests/vm/silent.h"
#include "tests/vm/story.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

const char* NameOf(Milestone milestone) {
  constexpr const char* kNames[] = {"1.0.0", "staged", "1.1.0"};
  return kNames[static_cast<int>(milestone)];
}

// The channel's newest release.
const char* PublishedAt(Milestone milestone) {
  return milestone == Milestone::kFirst ? "1.0.0" : "1.1.0";
}

Result<std::string> SnapshotOf(const ReleaseSet& releases, Milestone milestone) {
  return std::format("{}/snapshots/{}-{}", releases.directory(), NameOf(milestone),
                     TRY(Node::Fingerprint()));
}

Result<std::unique_ptr<Node>> Live(Milestone milestone, const ReleaseSet& releases) {
  Silent silent;
  if (milestone == Milestone::kFirst) {
    std::unique_ptr<Node> node = TRY(Node::Start("first-boot", releases));
    TRY(FirstBoot(*node, silent));
    return node;
  }
  std::unique_ptr<Node> node = TRY(NodeAt(Milestone::kFirst, "first-update"));
  if (milestone == Milestone::kStaged) {
    TRY(node->published().Publish("1.1.0"));
    TRY(node->Run({"hostctl", "update"}, 4, Node::kUpdateLimit));
    return node;
  }
  TRY(UpdateToSecond(*node, silent));
  return node;
}

// Held while a snapshot is made or opened, because tests that run at the same time share it.
Result<UniqueFd> LockOf(const std::string& snapshot) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(snapshot).parent_path(), error);
  if (error) return Fail(Code::kFailed, "{}: {}", snapshot, error.message());
  UniqueFd lock = TRY(Open(snapshot + ".lock", O_RDWR | O_CREAT, 0644));
  if (::flock(lock.get(), LOCK_EX) < 0) return FailErrno(snapshot + ".lock");
  return lock;
}

Result<> Replace(const std::string& snapshot, Milestone milestone, const ReleaseSet& releases) {
  std::unique_ptr<Node> node = TRY(Live(milestone, releases));
  std::error_code error;
  std::filesystem::remove_all(snapshot + ".new", error);
  std::filesystem::create_directories(snapshot + ".new", error);
  if (error) return Fail(Code::kFailed, "{}: {}", snapshot, error.message());
  TRY(node->vm().Save(snapshot + ".new"));
  std::filesystem::remove_all(snapshot, error);
  std::filesystem::rename(snapshot + ".new", snapshot, error);
  if (error) return Fail(Code::kFailed, "{}: {}", snapshot, error.message());
  return {};
}

}  // namespace

Result<std::unique_ptr<Node>> NodeAt(Milestone milestone, const std::string& name, Rig rig) {
  const ReleaseSet releases = TRY(ReleaseSet::Open());
  const std::string snapshot = TRY(SnapshotOf(releases, milestone));
  UniqueFd lock = TRY(LockOf(snapshot));
  if (!std::filesystem::exists(snapshot)) TRY(Replace(snapshot, milestone, releases));
  std::unique_ptr<Node> node = TRY(Node::Start(name, releases, snapshot, std::move(rig)));
  TRY(node->published().Publish(PublishedAt(milestone)));
  return node;
}

Result<> Reach(Milestone milestone) {
  const ReleaseSet releases = TRY(ReleaseSet::Open());
  const std::string snapshot = TRY(SnapshotOf(releases, milestone));
  UniqueFd lock = TRY(LockOf(snapshot));
  return Replace(snapshot, milestone, releases);
}

}  // namespace hostos
