#include "source.h"

#include <cctype>
#include <cstring>

namespace {

bool is_word(char character) { return std::isalnum(static_cast<unsigned char>(character)) || character == '_'; }

// The place after a string or character literal that starts at `at`.
size_t skip_literal(const std::string& text, size_t at) {
    char quote = text[at++];
    while (at < text.size() && text[at] != quote) {
        at += text[at] == '\\' ? 2 : 1;
    }
    return at + 1;
}

// The place after the parenthesis that closes the one at `at`.
size_t skip_parentheses(const std::string& text, size_t at) {
    int depth = 0;
    while (at < text.size()) {
        if (text[at] == '"' || text[at] == '\'') {
            at = skip_literal(text, at);
            continue;
        }
        depth += text[at] == '(' ? 1 : text[at] == ')' ? -1 : 0;
        ++at;
        if (depth == 0) {
            break;
        }
    }
    return at;
}

}  // namespace

std::string wrap(const std::string& source, const std::string& name) {
    return "#line 1 \"" + name + "\"\n" + source + "\n#include \"emulator/entry.h\"\n";
}

std::vector<EntryPoint> take_entry_points(std::string& text) {
    std::vector<EntryPoint> entries;
    std::string kept, word, bounds, cluster;
    bool in_entry = false;
    size_t at = 0;
    while (at < text.size()) {
        size_t begin = at;
        if (text[at] == '"' || text[at] == '\'') {
            at = skip_literal(text, at);
        } else if (is_word(text[at])) {
            while (at < text.size() && is_word(text[at])) {
                ++at;
            }
            std::string found = text.substr(begin, at - begin);
            if (found == ENTRY_MARK) {
                in_entry = true;
                continue;
            }
            if (found == BOUNDS_MARK || found == CLUSTER_MARK) {
                size_t open = text.find('(', at);
                at = skip_parentheses(text, open);
                (found == BOUNDS_MARK ? bounds : cluster) = text.substr(open, at - open);
                continue;
            }
            word = found;
        } else {
            char character = text[at++];
            if (character == '(' && in_entry) {  // the word before the parameters is the name
                bool known = false;
                for (const EntryPoint& entry : entries) {
                    known = known || entry.name == word;
                }
                if (!known) {
                    entries.push_back({word, bounds.empty() ? "(1024)" : bounds, cluster.empty() ? "(1)" : cluster});
                }
                in_entry = false;
            }
            if (character == ';' || character == '}') {
                bounds.clear();
                cluster.clear();
            }
        }
        kept.append(text, begin, at - begin);
    }
    text = kept;
    return entries;
}

std::string library_definition(const std::vector<EntryPoint>& entries, unsigned architecture) {
    std::string text = "\nstatic constexpr emulator::Entry emulator_entries[] = {\n";
    for (const EntryPoint& entry : entries) {
        std::string signature = "decltype(emulator::signature(" + entry.name + "))";
        text += "{\"" + entry.name + "\", " + signature + "::call<" + entry.name + ">, " + signature + "::sizes, " + signature +
                "::parameters, emulator::first" + entry.bounds + ", emulator::cluster_along_x<" +
                entry.cluster.substr(1, entry.cluster.size() - 2) + ">()},\n";
    }
    return text +
           "{nullptr, nullptr, nullptr, 0, 0, 0}};\n"
           "extern \"C\" const emulator::Library emulator_library = {emulator_entries, " +
           std::to_string(entries.size()) + ", " + std::to_string(architecture) + ", __bss_start, _end};\n";
}
