// From logits to tokens: penalties, temperature, the truncations and one random number each, with
// the same decisions as runtimes/torch/sampler.py. Sums are doubles: a cumulated sum over 32,000
// fp32 terms would lose the tail. Nothing is sorted beyond what the truncations leave.
#pragma once

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

namespace paddock {

// What Python says about one request's choices; as declared in library.py, field by field.
struct Sampling {
    double temperature, top_p, min_p;
    double repetition_penalty, presence_penalty, frequency_penalty;
    uint64_t seed;
    int64_t top_k;             // 0: off
    const int32_t* history;    // tokens that the penalties know, `n_history` before the first choice
    const uint8_t* allowed;    // bit i % 8 of byte i / 8: whether id i may be taken; or null
    int64_t n_history, n_prompt, n_allowed_bytes;
    int64_t n_top;             // log probabilities of that many likeliest tokens; -1: none at all
};

enum Outcome : int32_t { fine = 0, not_finite = 1, none_allowed = 2, bad_history = 3 };

// A number in [0, 1) that depends on seed and position alone: SplitMix64's finalizer (Steele, Lea,
// Flood 2014) over both, as in runtimes/torch/sampler.py.
inline double uniform(uint64_t seed, int64_t position) {
    uint64_t z = seed * 0xD1B54A32D192ED03u +
                 (static_cast<uint64_t>(position) + 1) * 0x9E3779B97F4A7C15u;
    for (int i = 0; i < 2; i++) {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        z ^= z >> 31;
    }
    return static_cast<double>(z >> 11) / 9007199254740992.0;
}

// out[i] = e^(x[i] / temperature - top): Rows::powers.
using Powers = void (*)(const float* x, float temperature, double top, size_t n, double* out);

class Sampler {
  public:
    Sampler(int vocab_size, Powers powers)
        : n_(vocab_size), powers_(powers), row_(n_), kept_(n_), weights_(n_), order_(n_) {}

    // One token for `logits` (vocab_size), the token of `position`. `largest` is the largest of
    // them, NaN if one is NaN. The log probabilities are of the model's own distribution.
    Outcome choose(
        const Sampling& s, const float* logits, float largest, int64_t position, int32_t* token,
        double* logprob, int32_t* top_ids, double* top_logprobs) {
        if (!std::isfinite(largest)) return not_finite;
        const bool penalized = s.repetition_penalty != 1 || s.presence_penalty != 0 ||
                               s.frequency_penalty != 0;
        const float* row = logits;
        if (penalized || s.allowed) {
            std::copy(logits, logits + n_, row_.begin());
            if (penalized && !penalize(s)) return bad_history;
            if (s.allowed && !restrict_to(s)) return none_allowed;
            row = row_.data();
            largest = *std::max_element(row_.begin(), row_.end());
        }
        if (s.temperature == 0) {
            *token = static_cast<int32_t>(std::find(row, row + n_, largest) - row);
        } else {
            *token = draw(s, row, largest, uniform(s.seed, position));
        }
        if (s.n_top >= 0) report(s, logits, *token, logprob, top_ids, top_logprobs);
        return fine;
    }

  private:
    // Every product and sum is rounded to fp32 by itself, as torch does: a contraction to one
    // multiply-add would change the last bit, hence volatile.
    // False if a token of the history does not exist.
    bool penalize(const Sampling& s) {
        seen_.assign(s.history, s.history + s.n_history);
        std::sort(seen_.begin(), seen_.end());
        if (!seen_.empty() && (seen_.front() < 0 || seen_.back() >= n_)) return false;
        if (s.repetition_penalty != 1) {
            const float penalty = static_cast<float>(s.repetition_penalty);
            int32_t last = -1;
            for (const int32_t id : seen_) {
                if (id == last) continue;
                last = id;
                row_[id] = row_[id] > 0 ? row_[id] / penalty : row_[id] * penalty;
            }
        }
        if (s.presence_penalty == 0 && s.frequency_penalty == 0) return true;
        const auto answer = std::min(s.n_prompt, s.n_history);
        seen_.assign(s.history + answer, s.history + s.n_history);
        std::sort(seen_.begin(), seen_.end());
        for (size_t i = 0; i < seen_.size();) {
            const int32_t id = seen_[i];
            const size_t first = i;
            while (i < seen_.size() && seen_[i] == id) i++;
            volatile float counted =
                static_cast<float>(s.frequency_penalty) * static_cast<float>(i - first);
            volatile float penalty = static_cast<float>(s.presence_penalty) + counted;
            row_[id] -= penalty;
        }
        return true;
    }

    bool restrict_to(const Sampling& s) {
        bool any = false;
        for (int i = 0; i < n_; i++) {
            const bool allowed =
                i / 8 < s.n_allowed_bytes && (s.allowed[i / 8] >> (i % 8) & 1) != 0;
            any |= allowed && row_[i] > -INFINITY;
            if (!allowed) row_[i] = -INFINITY;
        }
        return any;
    }

    // The id at which the cumulated probability of what the truncations leave passes `random`.
    int32_t draw(const Sampling& s, const float* row, float largest, double random) {
        const float temperature = static_cast<float>(s.temperature);
        const float top = largest / temperature;
        // So small a temperature that the division overflows: the limit is the likeliest.
        if (!std::isfinite(top)) return static_cast<int32_t>(std::find(row, row + n_, largest) - row);
        const bool by_k = s.top_k > 0 && s.top_k < n_, truncated = s.top_p < 1 || s.min_p > 0;
        const int count = by_k ? static_cast<int>(s.top_k) : n_;
        const float* kept = row;  // in the order of order_
        if (by_k) {
            likeliest(row, count);
            for (int i = 0; i < count; i++) kept_[i] = row[order_[i]];
            kept = kept_.data();
        } else {
            std::iota(order_.begin(), order_.end(), 0);
        }
        powers_(kept, temperature, top, count, weights_.data());
        double total = 0;
        for (int i = 0; i < count; i++) total += weights_[i];
        int keep = count;
        if (truncated) {
            if (!by_k) keep = sort_what_counts(s, row, count, total);
            keep = truncate(s, keep, count, total);
            total = 0;
            for (int i = 0; i < keep; i++) total += weights_[i];
        }
        const double wanted = random * total;
        double passed = 0;
        for (int i = 0; i < keep; i++) {
            passed += weights_[i];
            if (passed > wanted) return order_[i];
        }
        return order_[keep - 1];
    }

    // Likelier first; of equals the smaller id.
    struct Before {
        const float* row;
        bool operator()(int32_t a, int32_t b) const {
            return row[a] != row[b] ? row[a] > row[b] : a < b;
        }
    };

    // The `count` likeliest ids in order at the front of order_.
    void likeliest(const float* row, int count) {
        std::iota(order_.begin(), order_.end(), 0);
        const Before before{row};
        if (count < n_)
            std::nth_element(order_.begin(), order_.begin() + count, order_.end(), before);
        std::sort(order_.begin(), order_.begin() + count, before);
    }

    // Puts in order, likeliest first, at least as many as top_p and min_p may leave: a few, then
    // ever more until top_p is passed. Returns how many are in order, with their weights.
    int sort_what_counts(const Sampling& s, const float* row, int count, double sum) {
        const Before before{row};
        all_weights_.assign(weights_.begin(), weights_.begin() + count);  // by id
        int sorted = 0;
        double passed = 0;
        for (int step = 64; sorted < count; step *= 8) {
            const int end = std::min(count, sorted + step);
            const auto first = order_.begin() + sorted, last = order_.begin() + end;
            if (end < count) std::nth_element(first, last, order_.begin() + count, before);
            std::sort(first, last, before);
            for (; sorted < end; sorted++) {
                weights_[sorted] = all_weights_[order_[sorted]];
                passed += weights_[sorted];
            }
            if (s.top_p < 1 && passed / sum >= s.top_p) break;
            if (s.min_p > 0 && weights_[sorted - 1] < s.min_p * weights_[0]) break;
        }
        return sorted;
    }

    // How many of the first `sorted` top_p and min_p leave.
    int truncate(const Sampling& s, int sorted, int count, double sum) const {
        int keep = sorted;
        if (s.top_p < 1) {
            double passed = 0;
            int below = 0;
            for (int i = 0; i < std::min(sorted, count - 1); i++) {
                passed += weights_[i] / sum;
                if (!(passed < s.top_p)) break;
                below++;
            }
            keep = std::min(keep, below + 1);
        }
        if (s.min_p > 0) {
            int above = 0;
            while (above < sorted && weights_[above] / sum >= s.min_p * (weights_[0] / sum)) above++;
            keep = std::min(keep, above);
        }
        return keep;
    }

    void report(
        const Sampling& s, const float* logits, int32_t token, double* logprob, int32_t* top_ids,
        double* top_logprobs) {
        const double largest = *std::max_element(logits, logits + n_);
        double sum = 0;
        powers_(logits, 1, largest, n_, weights_.data());
        for (int i = 0; i < n_; i++) sum += weights_[i];
        const double shift = largest + std::log(sum);
        *logprob = logits[token] - shift;
        const int n = static_cast<int>(std::min<int64_t>(s.n_top, n_));
        if (n == 0) return;
        likeliest(logits, n);
        for (int i = 0; i < n; i++) {
            top_ids[i] = order_[i];
            top_logprobs[i] = logits[order_[i]] - shift;
        }
    }

    const int n_;
    const Powers powers_;
    std::vector<float> row_, kept_;
    std::vector<double> weights_, all_weights_;
    std::vector<int32_t> order_, seen_;
};

}  // namespace paddock
