#include "updater/blackbox/system_black_box.h"

#include <linux/watchdog.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>
#include <systemd/sd-messages.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <format>
#include <functional>
#include <memory>

#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBoots = 10;           // the newest ones
constexpr size_t kLines = 40;           // per boot
constexpr size_t kLineLimit = 300;      // bytes
constexpr size_t kCommandLineIn = 100;  // the command line is among this many first kernel lines
constexpr size_t kDumpLimit = 8192;
// The kernel numbers the parts of a dump backwards, from its last lines (fs/pstore/platform.c).
constexpr const char* kLastPart = "Part1\n";
constexpr uint64_t kMicroseconds = 1'000'000;

// sd_journal_* return a negative errno on failure.
Result<int> Check(int answer, const char* what) {
  if (answer < 0) return FailErrno(std::string("journal: ") + what, -answer);
  return answer;
}

class Journal {
 public:
  static Result<Journal> Open(const std::string& directory) {
    sd_journal* journal = nullptr;
    // One directory, with this machine's own below it: journald's layout.
    TRY(Check(::sd_journal_open_directory(&journal, directory.c_str(), 0), "open"));
    return Journal(journal);
  }

  // All boots of which the journal has entries.
  Result<std::vector<std::string>> Boots() {
    std::vector<std::string> boots;
    TRY(Check(::sd_journal_query_unique(get(), "_BOOT_ID"), "boots"));
    const void* data = nullptr;
    size_t size = 0;
    while (TRY(Check(::sd_journal_enumerate_unique(get(), &data, &size), "boots")) > 0)
      boots.push_back(Value(data, size));
    return boots;
  }

  // From now on reads only entries that match all of these: "FIELD=value".
  Result<> Match(const std::vector<std::string>& all) {
    ::sd_journal_flush_matches(get());
    for (const std::string& match : all)
      TRY(Check(::sd_journal_add_match(get(), match.data(), match.size()), "match"));
    return {};
  }
  Result<> SeekHead() {
    return Check(::sd_journal_seek_head(get()), "seek").transform([](int) {});
  }
  Result<> SeekTail() {
    return Check(::sd_journal_seek_tail(get()), "seek").transform([](int) {});
  }
  Result<bool> Next() { return Step(::sd_journal_next(get())); }
  Result<bool> Previous() { return Step(::sd_journal_previous(get())); }

  std::string Field(const char* name) const {
    const void* data = nullptr;
    size_t size = 0;
    if (::sd_journal_get_data(get(), name, &data, &size) < 0) return {};
    return Value(data, size);
  }
  uint64_t Time() const {
    uint64_t time = 0;
    (void)::sd_journal_get_realtime_usec(get(), &time);  // on failure: 0
    return time / kMicroseconds;
  }
  uint64_t Monotonic() const {  // microseconds since the boot
    uint64_t time = 0;
    sd_id128_t boot;
    (void)::sd_journal_get_monotonic_usec(get(), &time, &boot);  // on failure: 0
    return time;
  }

 private:
  explicit Journal(sd_journal* journal) : journal_(journal, &::sd_journal_close) {}
  sd_journal* get() const { return journal_.get(); }
  static Result<bool> Step(int answer) { return TRY(Check(answer, "read")) > 0; }
  // The part after the '=' of "FIELD=value".
  static std::string Value(const void* data, size_t size) {
    const std::string_view text(static_cast<const char*>(data), size);
    return std::string(text.substr(std::min(text.find('=') + 1, text.size())));
  }

  std::unique_ptr<sd_journal, decltype(&::sd_journal_close)> journal_;
};

// Whether this boot had that root. The kernel prints its command line among its first lines.
Result<bool> HasRoot(Journal& journal, const std::string& boot, const Digest& root_hash) {
  TRY(journal.Match({"_BOOT_ID=" + boot, "_TRANSPORT=kernel"}));
  TRY(journal.SeekHead());
  const std::string wanted = "roothash=" + root_hash.Hex();
  for (size_t line = 0; line < kCommandLineIn && TRY(journal.Next()); line++)
    if (journal.Field("MESSAGE").contains(wanted)) return true;
  return false;
}

// Whether the boot was shut down. journald logs when it stops: at the end of a shutdown, and also
// when the initrd's instance makes way for the real one, which then logs that it starts.
Result<bool> EndedInOrder(Journal& journal, const std::string& boot) {
  const auto last = [&](sd_id128_t id) -> Result<uint64_t> {
    char text[SD_ID128_STRING_MAX];
    TRY(journal.Match(
        {"_BOOT_ID=" + boot, std::string("MESSAGE_ID=") + ::sd_id128_to_string(id, text)}));
    TRY(journal.SeekTail());
    uint64_t monotonic = 0;
    if (TRY(journal.Previous())) monotonic = journal.Monotonic();
    return monotonic;
  };
  return TRY(last(SD_MESSAGE_JOURNAL_STOP)) > TRY(last(SD_MESSAGE_JOURNAL_START));
}

Result<BootTrace> Trace(Journal& journal, const std::string& boot) {
  BootTrace trace{.boot_id = boot};
  trace.in_order = TRY(EndedInOrder(journal, boot));
  TRY(journal.Match({"_BOOT_ID=" + boot}));
  TRY(journal.SeekHead());
  if (TRY(journal.Next())) trace.begun = journal.Time();
  TRY(journal.SeekTail());
  for (size_t lines = 0; lines < kLines && TRY(journal.Previous()); lines++) {
    if (lines == 0) trace.ended = journal.Time();
    const std::string line =
        std::format("{}: {}", journal.Field("SYSLOG_IDENTIFIER"), journal.Field("MESSAGE"));
    trace.log.insert(0, line.substr(0, kLineLimit) + "\n");
  }
  return trace;
}

// The dumps that systemd-pstore assembled at `since` or later, newest first. If the kernel took
// several seconds to save a crash, as into EFI variables, there is one file for each second.
std::vector<std::string> Dumps(const std::string& directory, uint64_t since) {
  std::vector<std::string> dumps;
  std::error_code error;
  for (fs::recursive_directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error)) {
    struct stat status;
    if (it->path().filename() == "dmesg.txt" && ::stat(it->path().c_str(), &status) == 0 &&
        status.st_mtim.tv_sec >= static_cast<time_t>(since))
      dumps.push_back(it->path());
  }
  // The directories are named by time.
  std::ranges::sort(dumps, std::greater());
  return dumps;
}

Result<std::vector<BootTrace>> BootsOf(const std::string& directory, const Digest& root_hash,
                                       uint64_t since) {
  Journal journal = TRY(Journal::Open(directory));
  std::vector<BootTrace> traces;
  for (const std::string& boot : TRY(journal.Boots())) {
    if (!TRY(HasRoot(journal, boot, root_hash))) continue;
    BootTrace trace = TRY(Trace(journal, boot));
    if (trace.ended >= since) traces.push_back(std::move(trace));
  }
  std::ranges::sort(traces, {}, &BootTrace::begun);
  if (traces.size() > kBoots) traces.erase(traces.begin(), traces.end() - kBoots);
  return traces;
}

}  // namespace

std::vector<BootTrace> SystemBlackBox::Boots(const Digest& root_hash, uint64_t since) {
  return BootsOf(options_.journal, root_hash, since).value_or(std::vector<BootTrace>());
}

std::string SystemBlackBox::KernelDump(uint64_t since) {
  std::string text;
  for (const std::string& file : Dumps(options_.pstore, since)) {
    text += ReadFile(file, 1 << 20).value_or("");
    if (text.contains(kLastPart)) break;
  }
  if (text.size() > kDumpLimit) text.erase(0, text.size() - kDumpLimit);
  return text;
}

bool SystemBlackBox::WatchdogFired() {
  std::error_code error;
  for (fs::directory_iterator it(options_.watchdogs, error), end; !error && it != end;
       it.increment(error)) {
    const std::string text = ReadFile(it->path() / "bootstatus").value_or("");
    unsigned flags = 0;
    std::from_chars(text.data(), text.data() + text.size(), flags);
    if ((flags & WDIOF_CARDRESET) != 0) return true;
  }
  return false;
}

}  // namespace hostos
