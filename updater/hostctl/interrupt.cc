#include "updater/hostctl/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <format>

namespace hostos {
namespace {

// A signal handler may only write(2) a text that exists already. There are two: one is replaced
// while the other is in use.
struct LastWords {
  char text[512];
  size_t size;
};
LastWords last_words[2];
std::atomic<const LastWords*> current{nullptr};
static_assert(std::atomic<const LastWords*>::is_always_lock_free);

void End(int) {
  const LastWords* words = current.load();
  // If this fails, nobody is left to tell.
  if (words && ::write(STDERR_FILENO, words->text, words->size) < 0) ::_exit(1);
  ::_exit(1);
}

}  // namespace

void SayWhenInterrupted(std::string_view words, bool terminal) {
  LastWords& next = last_words[current.load() == &last_words[0] ? 1 : 0];
  std::string text = std::format("{}hostctl: {}", terminal ? "\r\033[K" : "", words);
  next.size = std::min(text.size(), sizeof next.text - 1);
  std::memcpy(next.text, text.data(), next.size);
  next.text[next.size++] = '\n';
  const bool first = current.exchange(&next) == nullptr;
  if (!first) return;
  struct sigaction action{};
  action.sa_handler = End;
  ::sigfillset(&action.sa_mask);
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaction(signal, &action, nullptr);
}

InterruptibleProgress::InterruptibleProgress(std::ostream& out, Clock& clock, Style style,
                                             size_t columns, std::string_view hint)
    : PhaseProgress(out, clock, style, columns), hint_(hint), terminal_(style == Style::kTerminal) {
  SayWhenInterrupted(std::format("interrupted; {}", hint_), terminal_);
}

void InterruptibleProgress::Begin(std::string_view phase, std::string_view detail) {
  SayWhenInterrupted(std::format("interrupted in {}; {}", phase, hint_), terminal_);
  PhaseProgress::Begin(phase, detail);
}

}  // namespace hostos
