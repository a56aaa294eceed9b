// Random little models with every array in an allocation of exactly its size, so that a sanitizer
// sees any step outside; scripts/check_native.sh builds and runs it. Also compares the instruction
// sets, thread counts and batch sizes with each other.

#include "decode.cpp"

#include <cstdio>
#include <random>

namespace {

struct Case {
    std::mt19937 random;
    std::vector<std::unique_ptr<float[]>> arrays;
    std::vector<std::unique_ptr<float[]>> caches;
    std::vector<paddock::Layer> layers;
    paddock::Model m{};
    size_t cache_size = 0;
    int rows = 0;

    int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); }

    float* floats(size_t n, float scale, float offset = 0) {
        std::normal_distribution<float> normal;
        arrays.emplace_back(new float[n]);
        for (size_t i = 0; i < n; i++) arrays.back()[i] = normal(random) * scale + offset;
        return arrays.back().get();
    }

    explicit Case(unsigned seed) : random(seed) {
        rows = seed % 50 == 0 ? 40 : pick(1, 9);
        m.n_layers = pick(1, 2);
        m.dim = pick(1, 150);
        m.n_kv_heads = pick(1, 3);
        m.n_heads = m.n_kv_heads * pick(1, 9);
        m.head_dim = 2 * pick(1, 70);
        m.hidden_dim = pick(1, 200);
        m.vocab_size = pick(1, 300);
        m.norm_eps = 1e-5f;
        const int length = pick(1, 300);
        const bool paged = seed % 2;
        m.page_size = paged ? pick(1, 150) : length;
        m.max_pages = static_cast<int>((length + m.page_size - 1) / m.page_size);
        const int64_t heads = 2 * m.n_kv_heads, n = m.head_dim;
        m.position_stride = paged ? heads * n : n;
        m.head_stride = paged ? n : length * n;
        m.page_stride = m.page_size * heads * n;
        cache_size = static_cast<size_t>(m.page_stride) * m.max_pages * rows;
        const size_t query = static_cast<size_t>(m.n_heads) * n, dim = m.dim, hidden = m.hidden_dim;
        const auto matrix = [&](size_t out, size_t in) {
            return floats(out * in, 1.5f / std::sqrt(static_cast<float>(in)));
        };
        m.embeddings = floats(m.vocab_size * dim, 1);
        m.norm = floats(dim, 0.1f, 1);
        m.output = matrix(m.vocab_size, dim);
        m.cos = floats(length * n, 0.7f);
        m.sin = floats(length * n, 0.7f);
        for (int i = 0; i < m.n_layers; i++) {
            paddock::Layer layer{};
            layer.attention_norm = floats(dim, 0.1f, 1);
            layer.wqkv = matrix(query + heads * n, dim);
            layer.wo = matrix(dim, query);
            layer.ffn_norm = floats(dim, 0.1f, 1);
            layer.w13 = matrix(2 * hidden, dim);
            layer.w2 = matrix(dim, hidden);
            layer.cache = floats(cache_size, 1);
            layers.push_back(layer);
        }
        m.layers = layers.data();
        tokens.reset(new int32_t[rows]);
        positions.reset(new int32_t[rows]);
        pages.reset(new int32_t[static_cast<size_t>(rows) * m.max_pages]);
        for (int b = 0; b < rows; b++) {
            tokens[b] = pick(0, m.vocab_size - 1);
            positions[b] = b == 0 ? length - 1 : pick(0, length - 1);  // the very end, and anywhere
            for (int p = 0; p < m.max_pages; p++)  // the last row has the last page
                pages[b * m.max_pages + p] = b * m.max_pages + p;
        }
        positions[rows - 1] = length - 1;
    }

    std::unique_ptr<int32_t[]> tokens, positions, pages;

    std::vector<float> run(int threads, int set, bool together) {
        void* decoder = paddock_open(&m, threads, set);
        if (!decoder) return {};
        std::unique_ptr<float[]> logits(new float[static_cast<size_t>(rows) * m.vocab_size]);
        for (int b = 0; b < rows; b += together ? rows : 1)
            paddock_decode(
                decoder, together ? rows : 1, tokens.get() + b, positions.get() + b,
                pages.get() + static_cast<size_t>(b) * m.max_pages,
                logits.get() + static_cast<size_t>(b) * m.vocab_size);
        paddock_close(decoder);
        return {logits.get(), logits.get() + static_cast<size_t>(rows) * m.vocab_size};
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
    int sets = 1;
    for (unsigned seed = 0; seed < cases; seed++) {
        Case c(seed);
        const std::vector<float> base = c.run(1, 1, true);
        for (int set = 1; set <= 3; set++) {
            const std::vector<float> alone = c.run(1, set, false), shared = c.run(3, set, true);
            if (alone.empty()) continue;
            sets = std::max(sets, set);
            if (alone != shared) {
                std::printf("case %u, set %d: rows or threads change the result\n", seed, set);
                return 1;
            }
            worst = std::max(worst, distance(alone, base));
        }
    }
    std::printf("%u cases, sets up to %d, largest difference between sets %.1e\n", cases, sets, worst);
    // Norms of two or three numbers that nearly cancel magnify roundings; the rest stay below 1e-5.
    return worst < 1e-4f ? 0 : 1;
}
