// Random little models with every array in an allocation of exactly its size, so that a sanitizer
// sees any step outside; scripts/check_native.sh builds and runs it. Each text goes through token by
// token, whole beside others, and in pieces, on one thread and on three: the bits must not change.

#include "paddock.cpp"

#include <cstdio>
#include <random>

namespace {

using paddock::Matrix;

struct Text {
    std::vector<int32_t> tokens, pages;
    paddock::Sampling sampling{};
};

struct Case {
    std::mt19937 random;
    std::vector<std::unique_ptr<unsigned char[]>> arrays;
    std::vector<paddock::Layer> layers;
    paddock::Model m{};
    std::vector<Text> texts;
    size_t cache_bytes = 0, cache_scales = 0;
    bool exact = true;  // nothing is rounded to fewer bits than fp32 on the way

    int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); }

    template <class T>
    T* array(size_t n) {
        arrays.emplace_back(new unsigned char[n * sizeof(T)]);
        return reinterpret_cast<T*>(arrays.back().get());
    }

    float* floats(size_t n, float scale, float offset = 0) {
        std::normal_distribution<float> normal;
        float* p = array<float>(n);
        for (size_t i = 0; i < n; i++) p[i] = normal(random) * scale + offset;
        return p;
    }

    Matrix matrix(int n, int k) {
        Matrix w = {nullptr, pick(paddock::F32, k % 32 ? paddock::F16 : paddock::Q4), n, k};
        const float scale = 1.5f / std::sqrt(static_cast<float>(k));
        if (w.format == paddock::F32) {
            w.data = floats(static_cast<size_t>(n) * k, scale);
            return w;
        }
        const size_t bytes = paddock::matrix_bytes(w);
        auto* p = array<unsigned char>(bytes);
        w.data = p;
        std::normal_distribution<float> normal;
        if (!paddock::packed(w)) {
            for (size_t i = 0; i < bytes / 2; i++) {
                const float value = normal(random) * scale;
                uint32_t bits;
                std::memcpy(&bits, &value, 4);
                const uint16_t h = w.format == paddock::BF16 ? bits >> 16 : paddock::to_half(value).bits;
                std::memcpy(p + 2 * i, &h, 2);
            }
            return w;
        }
        exact = false;
        for (size_t i = 0; i < bytes; i++) p[i] = static_cast<unsigned char>(pick(0, 255));
        const size_t group = paddock::block_bytes(w) / (k / 32);
        for (size_t at = group - 32; at < bytes; at += group) {
            for (int i = 0; i < 16; i++) {
                const paddock::Half h = paddock::to_half(scale / (w.format == paddock::Q4 ? 5 : 70));
                std::memcpy(p + at + 2 * i, &h, 2);
            }
        }
        return w;
    }

    explicit Case(unsigned seed) : random(seed) {
        m.n_layers = pick(1, 2);
        const int dim = pick(0, 1) ? 32 * pick(1, 5) : pick(1, 150);
        const int kv_heads = pick(1, 3), head_dim = pick(0, 1) ? 16 * pick(1, 5) : 2 * pick(1, 70);
        m.n_heads = kv_heads * (seed % 40 == 1 ? 40 : pick(1, 9));
        m.hidden_dim = pick(0, 1) ? 32 * pick(1, 6) : pick(1, 200);
        const int vocab = pick(1, 300);
        m.known_ids = pick(1, vocab);
        m.norm_eps = 1e-5f;
        const int length = seed % 10 == 3 ? pick(520, 600) : pick(1, 150);
        const bool paged = seed % 2;
        const int n_texts = length > 500 ? 1 : pick(1, 5);
        paddock::Cache& c = m.cache;
        c.page_size = paged ? 16 * pick(1, 3) : length;
        const int pages = (length + c.page_size - 1) / c.page_size;
        c.n_pages = pages * n_texts;
        c.n_kv_heads = kv_heads;
        c.head_dim = head_dim;
        c.format = pick(paddock::CacheF32, paddock::CacheI8);
        if (c.format != paddock::CacheF32) exact = false;
        cache_scales = static_cast<size_t>(m.n_layers) * c.n_pages * kv_heads * 2 * c.positions();
        cache_bytes = cache_scales * head_dim * c.item();
        c.data = array<unsigned char>(cache_bytes);
        c.scales = c.format == paddock::CacheI8 ? array<float>(cache_scales) : nullptr;
        const int query = m.n_heads * head_dim, kv = kv_heads * head_dim;
        m.embeddings = matrix(vocab, dim);
        m.output = matrix(vocab, dim);
        m.norm = floats(dim, 0.1f, 1);
        m.cos = floats(static_cast<size_t>(length) * head_dim / 2, 0.7f);
        m.sin = floats(static_cast<size_t>(length) * head_dim / 2, 0.7f);
        for (int i = 0; i < m.n_layers; i++)
            layers.push_back({floats(dim, 0.1f, 1), floats(dim, 0.1f, 1), matrix(query, dim),
                              matrix(kv, dim), matrix(kv, dim), matrix(dim, query),
                              matrix(m.hidden_dim, dim), matrix(m.hidden_dim, dim),
                              matrix(dim, m.hidden_dim)});
        m.layers = layers.data();
        for (int t = 0; t < n_texts; t++) {
            Text text;
            const int n = t == 0 ? length : pick(1, length);
            for (int i = 0; i < n; i++) text.tokens.push_back(pick(0, m.known_ids - 1));
            for (int p = 0; p < pages; p++) text.pages.push_back(t * pages + p);
            text.sampling.temperature = t % 2;
            text.sampling.top_p = t % 3 ? 1 : 0.9;
            text.sampling.repetition_penalty = 1;
            text.sampling.n_top = t % 4 - 1;
            text.sampling.seed = seed;
            texts.push_back(text);
        }
    }

    size_t total() const {
        size_t n = 0;
        for (const Text& text : texts) n += text.tokens.size();
        return n;
    }

    // All logits and choices, the texts in pieces of at most `piece` tokens, `together` or not.
    std::vector<float> run(int threads, int set, int piece, bool together) {
        void* forward = paddock_open(&m, threads, set);
        if (!forward) return {};
        std::memset(m.cache.data, 0, cache_bytes);
        std::vector<std::vector<float>> found(texts.size());
        std::vector<size_t> done(texts.size());
        for (size_t only = 0; only < texts.size();) {
            std::vector<paddock::Request> requests;
            std::vector<size_t> which;
            size_t wanted = 0;
            for (size_t t = 0; t < texts.size(); t++) {
                if (!together && t != only) continue;
                const Text& text = texts[t];
                const size_t n = std::min<size_t>(piece, text.tokens.size() - done[t]);
                if (n == 0) continue;
                requests.push_back({text.tokens.data() + done[t], text.pages.data(), &text.sampling,
                                    static_cast<int32_t>(n), static_cast<int32_t>(done[t]),
                                    static_cast<int32_t>(n), 0});
                which.push_back(t);
                wanted += n;
            }
            if (requests.empty()) {
                only = together ? texts.size() : only + 1;
                continue;
            }
            step(forward, requests, which, wanted, found);
            for (size_t i = 0; i < which.size(); i++) done[which[i]] += requests[i].n_tokens;
        }
        paddock_close(forward);
        std::vector<float> all;
        for (const auto& f : found) all.insert(all.end(), f.begin(), f.end());
        return all;
    }

    void step(
        void* forward, const std::vector<paddock::Request>& requests,
        const std::vector<size_t>& which, size_t wanted, std::vector<std::vector<float>>& found) {
        const size_t ids = m.known_ids, top = 3;
        std::unique_ptr<float[]> logits(new float[wanted * ids]);
        std::unique_ptr<int32_t[]> tokens(new int32_t[wanted]), outcomes(new int32_t[wanted]);
        std::unique_ptr<double[]> logprobs(new double[wanted]), likely(new double[wanted * top]);
        std::unique_ptr<int32_t[]> top_ids(new int32_t[wanted * top]);
        const paddock::Results results = {logits.get(), tokens.get(), logprobs.get(), top_ids.get(),
                                          likely.get(), outcomes.get(), top};
        paddock_step(forward, requests.data(), static_cast<int>(requests.size()), &results);
        size_t at = 0;
        for (size_t i = 0; i < which.size(); i++) {
            auto& to = found[which[i]];
            for (int t = 0; t < requests[i].n_tokens; t++, at++) {
                to.insert(to.end(), logits.get() + at * ids, logits.get() + (at + 1) * ids);
                to.push_back(static_cast<float>(tokens[at]));
                to.push_back(static_cast<float>(outcomes[at]));
            }
        }
    }
};

float distance(const std::vector<float>& a, const std::vector<float>& b) {
    float most = 0, scale = 1;  // logits are of this size; one alone may be near 0
    for (size_t i = 0; i < a.size(); i++) {
        most = std::max(most, std::fabs(a[i] - b[i]));
        scale = std::max(scale, std::fabs(b[i]));
    }
    return std::isfinite(most) ? most / scale : INFINITY;
}

}  // namespace

int main(int count, char** values) {
    const unsigned cases = count > 1 ? static_cast<unsigned>(std::atoi(values[1])) : 300;
    float worst = 0;
    int sets = 0;
    for (unsigned seed = 0; seed < cases; seed++) {
        Case c(seed);
        std::vector<float> first;
        for (int set = paddock::base; set <= paddock::dotprod; set++) {
            if (!paddock_set(set)) continue;
            sets |= 1 << set;
            const std::vector<float> alone = c.run(1, set, 1, false);
            const int piece = c.pick(2, 700);
            if (alone != c.run(3, set, 1000, true) || alone != c.run(2, set, piece, seed % 2)) {
                std::printf("case %u, set %d: neighbours, pieces or threads change bits\n", seed, set);
                return 1;
            }
            if (first.empty()) first = alone;
            if (c.exact && set == paddock::base) continue;
            // The choices are beside the logits: only models without rounding are compared, and
            // their greedy texts.
            if (c.exact && c.texts.size() == 1) worst = std::max(worst, distance(alone, first));
        }
    }
    std::printf("%u cases, sets %x, largest difference between sets %.1e\n", cases, sets, worst);
    // Norms of two or three numbers that nearly cancel magnify roundings; the rest stay below 1e-5.
    return worst < 1e-3f ? 0 : 1;
}
