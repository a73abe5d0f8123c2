// The client behind the command line that public conformance suites drive: one verb a run, exit
// code 0 or 1, and nothing in the metadata directory but what is trusted. Its clock is time(2), so
// a suite may fake it.
#include <algorithm>
#include <array>
#include <iostream>
#include <map>
#include <span>
#include <vector>

#include "updater/base/clock.h"
#include "updater/base/unique_fd.h"
#include "updater/source/http.h"
#include "updater/tuf/client.h"

namespace hostos {
namespace {

constexpr std::string_view kUsage =
    "usage: tuf_conformance --metadata-dir DIR init ROOT\n"
    "       tuf_conformance --metadata-dir DIR --metadata-url URL refresh\n"
    "       tuf_conformance --metadata-dir DIR --metadata-url URL --target-name PATH...\n"
    "                       --target-dir DIR --target-base-url URL download\n";

class HttpFetcher : public tuf::Fetcher {
 public:
  explicit HttpFetcher(std::string base) : base_(std::move(base)) {
    if (!base_.ends_with('/')) base_ += '/';
  }
  Result<std::string> Fetch(const std::string& path, size_t cap) override {
    return http_.Get(base_ + path, cap);
  }

 private:
  std::string base_;
  HttpClient http_;
};

class Arguments {
 public:
  explicit Arguments(std::span<char*> words) {
    constexpr std::array<std::string_view, 5> kOptions = {
        "--metadata-dir", "--metadata-url", "--target-name", "--target-dir", "--target-base-url"};
    for (size_t i = 0; i < words.size(); ++i) {
      const std::string word = words[i];
      if (!std::ranges::contains(kOptions, word)) {
        words_.push_back(word);
      } else if (++i < words.size()) {
        options_[word].emplace_back(words[i]);
      }
    }
  }

  // The verb and its operands.
  const std::vector<std::string>& words() const { return words_; }

  Result<std::vector<std::string>> All(const std::string& option) const {
    const auto found = options_.find(option);
    if (found == options_.end()) return Fail(Code::kUsage, "expected {}\n{}", option, kUsage);
    return found->second;
  }
  Result<std::string> One(const std::string& option) const { return TRY(All(option)).back(); }

 private:
  std::vector<std::string> words_;
  std::map<std::string, std::vector<std::string>> options_;
};

Result<> Download(const Arguments& arguments, tuf::Client& client) {
  HttpFetcher targets(TRY(arguments.One("--target-base-url")));
  const std::string directory = TRY(arguments.One("--target-dir"));
  for (const std::string& name : TRY(arguments.All("--target-name"))) {
    const tuf::TargetFile target = TRY(client.Find(name));
    TRY(client.Download(target, targets, directory));
  }
  return {};
}

Result<> Run(std::span<char*> words) {
  const Arguments arguments(words);
  const std::string directory = TRY(arguments.One("--metadata-dir"));
  const std::vector<std::string>& verb = arguments.words();
  if (verb.size() == 2 && verb[0] == "init") {
    return tuf::Client::Init(directory, TRY(ReadFile(verb[1])));
  }
  if (verb != std::vector<std::string>{"refresh"} && verb != std::vector<std::string>{"download"}) {
    return Fail(Code::kUsage, "expected init ROOT, refresh or download\n{}", kUsage);
  }
  HttpFetcher metadata(TRY(arguments.One("--metadata-url")));
  tuf::Client client = TRY(tuf::Client::Refresh(directory, metadata, SystemClock().Now()));
  return verb[0] == "refresh" ? Result<>() : Download(arguments, client);
}

}  // namespace
}  // namespace hostos

int main(int argc, char** argv) {
  const hostos::Result<> done = hostos::Run(std::span(argv, argc).subspan(1));
  if (done) return 0;
  std::cerr << "tuf_conformance: " << done.error().message << "\n";
  return 1;
}
