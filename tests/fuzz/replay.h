// A fuzz target over its corpus: what it begins with (seeds.cc), what once broke it (found/), and
// mutations of both, always the same ones. It finds again what fuzzing found; new things are for
// `dev fuzz`.
#pragma once

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <filesystem>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/text_file.h"

namespace hostos {

constexpr int kMutations = 2000;              // of a target's corpus,
constexpr std::chrono::seconds kMutating{2};  // or as many as there is time for

// One to eight changes: a bit, a number at the edge of its range, a piece cut out, doubled, or put
// where it comes from another input.
inline std::string Mutated(std::string bytes, const std::string& other, std::minstd_rand& random) {
  const auto below = [&](size_t count) {
    return std::uniform_int_distribution<size_t>(0, std::max<size_t>(count, 1) - 1)(random);
  };
  constexpr unsigned char kEdges[] = {0x00, 0x01, 0x7f, 0x80, 0xff, '0', '"', '\n'};
  for (size_t left = 1 + below(8); left > 0; left--) {
    const size_t at = below(bytes.size()), from = below(other.size());
    const size_t length = 1 + below(32);
    switch (below(6)) {
      case 0:
        if (!bytes.empty()) bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
        break;
      case 1:
        if (!bytes.empty()) bytes[at] = static_cast<char>(kEdges[below(std::size(kEdges))]);
        break;
      case 2:
        bytes.erase(at, length);
        break;
      case 3:
        bytes.insert(at, bytes.substr(at, length));
        break;
      case 4:
        bytes.replace(at, length, other.substr(from, length));
        break;
      case 5:
        bytes.resize(at);
        break;
    }
  }
  return bytes;
}

inline void Replay(const std::string& target, void (*run)(std::string_view)) {
  std::vector<std::string> corpus = {""};
  for (const std::string folder : {FUZZ_SEEDS, FUZZ_FOUND}) {
    std::error_code none;
    std::vector<std::string> files;
    for (std::filesystem::directory_iterator file(folder + "/" + target, none), end;
         !none && file != end; file.increment(none))
      files.push_back(file->path());
    std::ranges::sort(files);
    for (const std::string& file : files) {
      INFO(file);
      corpus.push_back(ReadText(file));
      run(corpus.back());
    }
  }
  REQUIRE(corpus.size() > 1);
  std::minstd_rand random(1);
  std::uniform_int_distribution<size_t> any(0, corpus.size() - 1);
  const auto end = std::chrono::steady_clock::now() + kMutating;
  for (int i = 0; i < kMutations && std::chrono::steady_clock::now() < end; i++) {
    INFO("mutation " << i);
    const std::string input = Mutated(corpus[any(random)], corpus[any(random)], random);
    run(input);
  }
}

}  // namespace hostos
