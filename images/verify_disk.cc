#include "images/verify_disk.h"

#include <algorithm>
#include <filesystem>
#include <ranges>
#include <set>

#include "bootctl/entry_name.h"
#include "bootctl/gpt.h"
#include "images/program.h"
#include "images/uki.h"
#include "updater/base/text.h"
#include "updater/base/unique_fd.h"
#include "updater/seal/seal.h"

namespace hostos {
namespace {

constexpr const char* kCommits = "/lib/hostos/commits";  // of /var

// debugfs ends with 0 whatever happens, so what it wrote tells.
Result<std::string> ReadState(const std::string& state, const std::string& name, size_t cap,
                              const WorkDirectory& work) {
  const std::string copy = work / "state-file";
  std::error_code ignored;  // usually absent
  std::filesystem::remove(copy, ignored);
  TRY(RunOnUntrusted(
      {"debugfs", "-R", std::format("dump {}/{} \"{}\"", kCommits, name, copy), state}));
  return ReadFile(copy, cap).transform_error([&](Error error) {
    if (error.code == Code::kNotFound) error.code = Code::kNotTrusted;
    return std::move(error).Wrap("state partition, " + name);
  });
}

// Bytes and signatures of the one commit that the disk was made with.
Result<std::pair<std::string, std::string>> ReadCommit(const std::string& raw,
                                                       const PartitionTable& table,
                                                       const WorkDirectory& work) {
  if (!table.state)
    return Fail(Code::kNotTrusted, "expected one partition for /var, found none or several");
  const std::string state = std::format("{}?offset={}", raw, table.state->offset);
  const std::string listed =
      TRY(RunOnUntrusted({"debugfs", "-R", std::format("ls -p {}", kCommits), state}));
  std::set<std::string> commits;
  for (const auto part : std::views::split(listed, '/')) {
    constexpr std::string_view kSuffix = ".commit";
    const std::string_view name(part);
    if (name.ends_with(kSuffix) && Digest::FromHex(name.substr(0, name.size() - kSuffix.size())))
      commits.emplace(name);
  }
  if (commits.size() != 1)
    return Fail(Code::kNotTrusted,
                "expected one commit in {} of the state partition, found {}: it is no disk that "
                "hostimage made, or it has booted",
                kCommits, commits.size());
  const std::string& name = *commits.begin();
  std::string bytes = TRY(ReadState(state, name, kMaxCommitBytes, work));
  std::string signatures = TRY(ReadState(state, name + "meta", kMaxDetachedBytes, work));
  return std::pair(std::move(bytes), std::move(signatures));
}

// Copies a part of a file, whose every byte the copy then has.
Result<UniqueFd> Slice(int from, const Partition& partition, uint64_t size,
                       const std::string& path) {
  if (partition.size < size)
    return Fail(Code::kNotTrusted, "expected a partition of at least {} bytes, found {}", size,
                partition.size);
  UniqueFd to = TRY(Open(path, O_RDWR | O_CREAT | O_TRUNC, 0600));
  std::vector<std::byte> buffer(1 << 20);
  for (uint64_t done = 0; done < size;) {
    const std::span wanted =
        std::span(buffer).first(std::min<uint64_t>(buffer.size(), size - done));
    if (TRY(PreadFull(from, wanted, partition.offset + done)) < wanted.size())
      return Fail(Code::kNotTrusted, "the disk ends within partition {}: it was cut short",
                  partition.number);
    TRY(PwriteFull(to.get(), wanted, done));
    done += wanted.size();
  }
  return to;
}

// A boot image as the ESP has it, compared with what was signed.
Result<UniqueFd> ReadBootImage(const std::string& esp, const std::string& name,
                               const Digest& digest, uint64_t size, const WorkDirectory& work) {
  const std::string copy = work / "boot-image";
  TRY(RunOnUntrusted({"mcopy", "-n", "-o", "-i", esp, "::" + name, copy}));
  UniqueFd file = TRY(Open(copy, O_RDONLY));
  const Result<Digest> found = HashFile(file.get(), size);
  std::error_code error;
  if (!found || *found != digest || std::filesystem::file_size(copy, error) != size)
    return Fail(Code::kNotTrusted, "{}: expected {} bytes with SHA-256 {}, as signed, found others",
                name, size, digest.Hex());
  return file;
}

// The ESP holds the loader and what the release brings, and nothing else that could boot.
Result<> CheckEsp(const std::string& esp, const Release& release, const WorkDirectory& work,
                  std::vector<Proof>& proofs) {
  const std::string efi = TRY(EfiArchitecture(release.architecture));
  const std::string entry =
      std::format("/EFI/Linux/{}",
                  FormatEntryName(ReleaseStem(release.version, release.root_hash), std::nullopt));
  std::set<std::string> expected = {Lower(std::format("/EFI/BOOT/BOOT{}.EFI", efi)),
                                    Lower(std::format("/EFI/systemd/systemd-boot{}.efi", efi)),
                                    "/loader/loader.conf", Lower(entry)};
  const std::string rescue =
      release.rescue ? "/EFI/Linux/" + RescueFile(release.rescue->digest) : "";
  if (release.rescue) expected.insert(Lower(rescue));
  const std::string listed = TRY(RunOnUntrusted({"mdir", "-b", "-/", "-i", esp, "::"}));
  std::set<std::string> found;
  for (const auto part : std::views::split(listed, '\n')) {
    const std::string_view name(part);
    if (name.starts_with("::") && !name.ends_with('/')) found.insert(Lower(name.substr(2)));
  }
  if (found != expected)
    return Fail(Code::kNotTrusted, "expected these files on the ESP: {}; found {}",
                Joined(expected), Joined(found));
  const UniqueFd uki = TRY(ReadBootImage(esp, entry, release.uki_digest, release.uki_size, work));
  TRY(CheckUki(uki.get(), release));
  proofs.push_back({"uki", std::format("{} bytes, SHA-256 {}, as signed; boots that root hash",
                                       release.uki_size, release.uki_digest.Hex())});
  if (!release.rescue) return {};
  TRY(ReadBootImage(esp, rescue, release.rescue->digest, release.rescue->size, work));
  proofs.push_back({"rescue", std::format("{} bytes, SHA-256 {}, as signed", release.rescue->size,
                                          release.rescue->digest.Hex())});
  return {};
}

}  // namespace

Result<Release> VerifyDisk(const std::string& raw, std::span<const PublicKey> trusted,
                           const SignatureRule& rule, const WorkDirectory& work, Progress& progress,
                           std::vector<Proof>& proofs) {
  const PartitionTable table = TRY(ReadPartitionTable(raw).transform_error([](Error error) {
    error.code = Code::kNotTrusted;
    return error;
  }));
  auto [bytes, signatures] = TRY(ReadCommit(raw, table, work));
  const uint32_t signers =
      TRY_CONTEXT("the commit on the disk", VerifyCommit(bytes, signatures, trusted, rule));
  const SignedCommit commit = TRY(ParseSignedCommit(std::move(bytes), std::move(signatures)));
  const Release& release = commit.release;
  proofs.push_back({"signatures", std::format("{} of {} required keys signed commit {}", signers,
                                              rule.required, release.commit.Hex())});
  proofs.push_back({"release", std::format("{} for {} in channel {}", release.version,
                                           release.architecture, release.channel)});
  const SlotPartitions& slot = table.slot(Slot::A);
  if (table.architecture != release.architecture ||
      IdentityOf(slot) != SlotIdentity::OfRelease(release))
    return Fail(Code::kNotTrusted, "expected release {} in the first slot, found \"{}\" for {}",
                release.version, slot.data.label, table.architecture);
  progress.Begin("prove", std::format("{} bytes", release.image_size));
  const UniqueFd disk = TRY(Open(raw, O_RDONLY));
  const UniqueFd image = TRY(Slice(disk.get(), slot.data, release.image_size, work / "image"));
  const UniqueFd verity = TRY(Slice(disk.get(), slot.verity, release.verity_size, work / "verity"));
  TRY(ProveSeal(image.get(), verity.get(), release.image_size, release.root_hash,
                [&](uint64_t done, uint64_t total) { progress.Bytes(done, total); }));
  proofs.push_back({"root hash", std::format("{}, as signed: of the {} bytes in the first slot",
                                             release.root_hash.Hex(), release.image_size)});
  TRY(CheckEsp(std::format("{}@@{}", raw, table.esp.offset), release, work, proofs));
  return release;
}

}  // namespace hostos
