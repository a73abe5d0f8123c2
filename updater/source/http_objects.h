// The objects of a release on a server, fetched one after the other over one connection, within a
// limit on the bytes per second. libostree's pull, which fetches several at once, has no such
// limit.
#pragma once

#include <string>

#include "updater/base/progress.h"
#include "updater/source/archive.h"
#include "updater/source/options.h"
#include "updater/source/source.h"

namespace hostos {

class HttpObjects : public ObjectFiles, private Progress {
 public:
  // Reports how much of the plan is here, and ends when a pull of it would have to.
  HttpObjects(const SourceOptions& options, const FetchPlan& plan, Progress& progress);

  // A file that the server lacks was signed, so it is withheld: kNetwork.
  Result<std::string> Fetch(const std::string& name, size_t cap) override;
  // No more, and no less, than the signed size.
  Result<File> OpenObject(const ObjectSize& object) override;

 private:
  void Begin(std::string_view, std::string_view) override {}
  void Bytes(uint64_t done, uint64_t total) override;
  bool Cancelled() override;
  Result<> CheckTime() const;

  std::string url_, staging_;
  Seconds time_;
  Milliseconds end_;
  HttpClient http_;
  uint64_t before_ = 0, all_;  // bytes of earlier objects, and of the plan
  Progress& progress_;
};

}  // namespace hostos
