#include "options.h"

#include <cstdlib>

namespace {

// The text after `prefix`, if `text` starts with it.
bool after(const std::string& text, const std::string& prefix, std::string& rest) {
    if (text.compare(0, prefix.size(), prefix) != 0) {
        return false;
    }
    rest = text.substr(prefix.size());
    return true;
}

bool parse_architecture(const std::string& name, Options& options) {
    std::string digits;
    bool real = after(name, "sm_", digits);
    if (!real && !after(name, "compute_", digits)) {
        return false;
    }
    char* end = nullptr;
    long number = std::strtol(digits.c_str(), &end, 10);
    std::string suffix = end;
    if (number < 75 || number > 200 || (suffix != "" && suffix != "a" && suffix != "f")) {
        return false;
    }
    options.architecture = static_cast<unsigned>(number) * 10;
    options.specific = suffix != "";
    options.real = real;
    return true;
}

// Options that change nothing here: speed, debug information, reports of ptxas, the language version that is used anyway.
bool is_ignored(const std::string& option) {
    static const char* const prefixes[] = {"--std=", "-std=", "--use_fast_math", "-use_fast_math", "--fmad=", "-fmad=", "--ftz=", "-ftz=",
                                           "--prec-div=", "-prec-div=", "--prec-sqrt=", "-prec-sqrt=", "--ptxas-options=", "-lineinfo",
                                           "--generate-line-info", "--maxrregcount=", "-maxrregcount=", "-default-device",
                                           "--device-as-default-execution-space", "--extra-device-vectorization", "-w",
                                           "--disable-warnings", "--split-compile=", "-split-compile=", "--minimal", "-minimal"};
    std::string rest;
    for (const char* prefix : prefixes) {
        if (after(option, prefix, rest)) {
            return true;
        }
    }
    return false;
}

}  // namespace

bool parse_options(int count, const char* const* given, Options& options, std::string& refused) {
    std::string value;
    for (int at = 0; at < count; ++at) {
        std::string option = given[at];
        bool known = true;
        if (option == "-arch" || option == "--gpu-architecture" || option == "-D" || option == "-I" || option == "-U" ||
            option == "--define-macro" || option == "--include-path") {  // the value is the next option
            known = ++at < count;
            option += option.compare(0, 2, "--") == 0 || option == "-arch" ? "=" : "";
            option += known ? given[at] : "";
        }
        if (after(option, "-arch=", value) || after(option, "--gpu-architecture=", value)) {
            known = known && parse_architecture(value, options);
        } else if (after(option, "--define-macro=", value)) {
            options.flags.push_back("-D" + value);
        } else if (after(option, "--include-path=", value)) {
            options.flags.push_back("-I" + value);
        } else if (after(option, "-D", value) || after(option, "-I", value) || after(option, "-U", value)) {
            options.flags.push_back(option);
        } else {
            known = known && is_ignored(option);
        }
        if (!known) {
            refused = option;
            return false;
        }
    }
    return true;
}
