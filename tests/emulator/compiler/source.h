// Reading CUDA source: which entry points it has.
#pragma once
#include <string>
#include <vector>

// What `__global__`, `__launch_bounds__(…)` and `__cluster_dims__(…)` become while the preprocessor runs.
constexpr char ENTRY_MARK[] = "__emulator_entry__";
constexpr char BOUNDS_MARK[] = "__emulator_bounds__";
constexpr char CLUSTER_MARK[] = "__emulator_cluster__";

struct EntryPoint {
    std::string name;
    std::string bounds;   // the arguments of __launch_bounds__ in parentheses, "(1024)" without
    std::string cluster;  // those of __cluster_dims__, "(1)" without
};

// The file for the preprocessor: the source, its lines numbered as given, and what `library_definition` needs.
std::string wrap(const std::string& source, const std::string& name);

// Removes the marks from preprocessed text and lists the entry points found.
std::vector<EntryPoint> take_entry_points(std::string& preprocessed);

// C++ that defines `emulator_library`; `architecture` is 800 for sm_80.
std::string library_definition(const std::vector<EntryPoint>& entries, unsigned architecture);
