// One step of a Llama: the tokens of several requests, whatever their number, through all layers.
//
// The rows of a step are the tokens of all its requests one after the other. They go through the
// layers in slabs of at most `slab_rows`, so that memory is bounded; a slab reads the weights once.
// What a row gets does not depend, bit for bit, on the rows beside it, on how a text is cut into
// steps, or on the number of threads: products promise it (matrix.h), attention weighs blocks of
// positions that begin at multiples of 256, and merges them in order.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "attend.h"
#include "attention.h"
#include "crew.h"
#include "matrix.h"
#include "model.h"
#include "sampler.h"

namespace paddock {

class Forward {
  public:
    static constexpr int slab_rows = 512;
    static constexpr int head_rows = 32;  // rows whose logits are held at a time

    Forward(const Model& model, const Products& products, const Rows& rows, int threads)
        : m_(model), p_(products), r_(rows), crew_(threads), attend_(m_, r_, crew_) {
        layers_.assign(m_.layers, m_.layers + m_.n_layers);
        query_dim_ = static_cast<size_t>(m_.n_heads) * m_.head_dim();
        kv_dim_ = static_cast<size_t>(m_.n_kv_heads()) * m_.head_dim();
        qkv_dim_ = query_dim_ + 2 * kv_dim_;
        for (int i = 0; i < crew_.threads(); i++)
            samplers_.emplace_back(new Sampler(m_.known_ids, rows.powers));
        order_heads();
    }

    void step(const Request* requests, int n, const Results& results) {
        crew_.begin();
        done_ = 0;
        for (int i = 0, from = 0; i < n;) {
            slab_.clear();
            wanted_.clear();
            rows_ = 0;
            while (i < n && rows_ < slab_rows) {
                const Request& request = requests[i];
                const int count = std::min(request.n_tokens - from, slab_rows - rows_);
                slab_.push_back({&request, from, count, rows_});
                for (int t = std::max(from, request.n_tokens - request.wanted); t < from + count; t++)
                    wanted_.push_back({&request, rows_ + t - from, t});
                rows_ += count;
                from += count;
                if (from == request.n_tokens) i++, from = 0;
            }
            compute();
            choose(results);
        }
    }

  private:
    // A row whose logits are wanted: token `token` of the request.
    struct Wanted {
        const Request* request;
        int row, token;
    };

    void compute() {
        plan();
        crew_.share(slab_pieces(), size_t{4} * m_.dim() * rows_, [this](int i) { embed(i); });
        for (int l = 0; l < m_.n_layers; l++) {
            const Layer& w = layers_[l];
            normed(w.attention_norm, packed(w.wq) || packed(w.wk) || packed(w.wv));
            qkv(l);
            attend_.layer(l, qkv_.get(), qkv_dim_, attended_.get());
            attended_a_ = input(attended_, query_dim_, packed(w.wo));
            add(w.wo, attended_a_);
            normed(w.ffn_norm, packed(w.w1) || packed(w.w3));
            gate(w);
            hidden_a_ = input(hidden_, m_.hidden_dim, packed(w.w2));
            add(w.w2, hidden_a_);
        }
    }

    // Lays out the slab: buffers, and the jobs of attention.
    void plan() {
        const size_t rows = rows_;
        x_.need(rows * m_.dim());
        normed_.need(rows * m_.dim());
        qkv_.need(rows * qkv_dim_);
        attended_.need(rows * query_dim_);
        hidden_.need(rows * m_.hidden_dim);
        const size_t widest = std::max({static_cast<size_t>(m_.dim()), query_dim_,
                                        static_cast<size_t>(m_.hidden_dim)});
        prepared_.need_bytes(prepared_bytes(rows_, static_cast<int32_t>(widest)));
        attend_.plan(slab_);
    }

    int slab_pieces() const { return (rows_ + row_tile - 1) / row_tile; }

    // Rows first .. end - 1 of a chunk of row_tile rows.
    struct Range {
        int first, count;
    };

    Range row_chunk(int i) const {
        const int first = i * row_tile;
        return {first, std::min(row_tile, rows_ - first)};
    }

    void embed(int chunk) {
        const Range range = row_chunk(chunk);
        for (const Piece& piece : slab_)
            for (int t = 0; t < piece.count; t++)
                if (piece.row + t >= range.first && piece.row + t < range.first + range.count)
                    p_.row(m_.embeddings, piece.request->tokens[piece.from + t], x(piece.row + t));
    }

    Activations activations(const Buffer& from, size_t width, bool prepare) const {
        return {from.get(), width, rows_, static_cast<int32_t>(width),
                prepare ? prepared_.raw() : nullptr};
    }

    // The input of a product: prepared if a matrix wants it.
    Activations input(const Buffer& from, size_t width, bool prepare) {
        const Activations a = activations(from, width, prepare);
        if (prepare)
            crew_.share(slab_pieces(), width * rows_, [&](int i) {
                const Range range = row_chunk(i);
                p_.prepare(a, range.first, range.count);
            });
        return a;
    }

    void normed(const float* weight, bool prepare) {
        normed_a_ = activations(normed_, m_.dim(), prepare);
        crew_.share(slab_pieces(), static_cast<size_t>(m_.dim()) * rows_, [&](int i) {
            const Range range = row_chunk(i);
            for (int r = range.first; r < range.first + range.count; r++)
                r_.norm(x(r), weight, m_.norm_eps, m_.dim(), normed_.get() + r * size_t(m_.dim()));
            if (prepare) p_.prepare(normed_a_, range.first, range.count);
        });
    }

    // Blocks of a product in one chunk: some 64 KB of weights, a few microseconds, but enough chunks
    // for all threads; with several rows whole fours, which share what is read of the rows.
    int blocks_per_chunk(const Matrix& w, int matrices = 1) const {
        const int all = blocks(w);
        const size_t bytes = block_bytes(w) * matrices;
        int n = static_cast<int>(std::max<size_t>(1, (size_t{64} << 10) / bytes));
        n = std::min(n, std::max(1, all / (4 * crew_.threads())));
        return rows_ > 1 ? (n + 3) / 4 * 4 : n;
    }

    static int chunks(const Matrix& w, int each) { return (blocks(w) + each - 1) / each; }

    // Rows of a product at a time: their outputs stay in the cache.
    static constexpr int rows_at_once = 64;

    template <class Part>
    void by_rows(const Part& part) const {
        for (int first = 0; first < rows_; first += rows_at_once)
            part(first, std::min(rows_at_once, rows_ - first));
    }

    // Heads of q, k and v in one list. Where heads are whole blocks, whoever made one rotates and
    // stores it at once; else that is done when all are there.
    void qkv(int l) {
        const Layer& w = layers_[l];
        const int n = m_.head_dim();
        const int heads = m_.n_heads + 2 * m_.n_kv_heads();
        const size_t work = qkv_dim_ * m_.dim() * rows_;
        if (n % block_outputs == 0) {
            crew_.share(m_.n_heads + m_.n_kv_heads(), work, [&](int chunk) {
                const int i = head_order_[chunk];
                by_rows([&](int first, int count) {
                    head_product(w, i, first, count);
                    if (i >= m_.n_heads) head_product(w, i + m_.n_kv_heads(), first, count);
                    finish_head(l, i, first, count);
                });
            });
            return;
        }
        const Matrix* matrices[] = {&w.wq, &w.wk, &w.wv};
        float* outputs[] = {qkv_.get(), qkv_.get() + query_dim_, qkv_.get() + query_dim_ + kv_dim_};
        for (int i = 0; i < 3; i++) {
            const int each = blocks_per_chunk(*matrices[i]);
            crew_.share(chunks(*matrices[i], each), work, [&](int chunk) {
                by_rows([&](int first, int count) {
                    part_product(*matrices[i], chunk * each, each, normed_a_, first, count,
                                 outputs[i], qkv_dim_, false);
                });
            });
        }
        crew_.share(m_.n_heads + m_.n_kv_heads(), static_cast<size_t>(heads) * n * rows_ * 4,
              [&](int i) { finish_head(l, i, 0, rows_); });
    }

    // Each thread's range of the chunks of q, k and v gets equally many keys, whose chunks are twice as
    // long because of their values, before its queries.
    void order_heads() {
        const int n = m_.n_heads, n_kv = m_.n_kv_heads(), parts = crew_.threads();
        for (int part = 0; part < parts; part++) {
            for (int i = n_kv * part / parts; i < n_kv * (part + 1) / parts; i++)
                head_order_.push_back(n + i);
            for (int i = n * part / parts; i < n * (part + 1) / parts; i++) head_order_.push_back(i);
        }
    }

    // Output block `first_block` of w belongs at y + 16 * first_block.
    void part_product(
        const Matrix& w, int first_block, int each, const Activations& a, int first, int count,
        float* y, size_t stride, bool add) const {
        p_.product(w, first_block, std::min(each, blocks(w) - first_block), a, first, count,
                   y + first * stride + static_cast<size_t>(first_block) * block_outputs, stride,
                   add);
    }

    void head_product(const Layer& w, int head, int first, int count) const {
        const int per_head = m_.head_dim() / block_outputs;
        const Matrix* matrix = &w.wq;
        int local = head;
        if (head >= m_.n_heads + m_.n_kv_heads()) {
            matrix = &w.wv;
            local = head - m_.n_heads - m_.n_kv_heads();
        } else if (head >= m_.n_heads) {
            matrix = &w.wk;
            local = head - m_.n_heads;
        }
        p_.product(*matrix, local * per_head, per_head, normed_a_, first, count,
                   head_of(first, head), qkv_dim_, false);
    }

    float* head_of(int row, int head) const {
        return qkv_.get() + row * qkv_dim_ + static_cast<size_t>(head) * m_.head_dim();
    }

    // A query head is rotated and scaled, a key head rotated and stored with its values.
    void finish_head(int l, int head, int first, int count) const {
        const int n = m_.head_dim();
        const bool key = head >= m_.n_heads;
        const float scale = key ? 1.0f : 1.0f / std::sqrt(static_cast<float>(n));
        for (const Piece& piece : slab_) {
            const int begin = std::max(first, piece.row);
            const int end = std::min(first + count, piece.row + piece.count);
            for (int r = begin; r < end; r++) {
                const int position = piece.request->start + piece.from + r - piece.row;
                const size_t at = static_cast<size_t>(position) * (n / 2);
                r_.rotate(head_of(r, head), m_.cos + at, m_.sin + at, n, scale);
                if (!key) continue;
                const int32_t page = piece.request->pages[position / m_.cache.page_size];
                r_.put(m_.cache, l, page, head - m_.n_heads, position % m_.cache.page_size,
                       head_of(r, head), head_of(r, head + m_.n_kv_heads()));
            }
        }
    }

    // x += w * input
    void add(const Matrix& w, const Activations& a) {
        const int each = blocks_per_chunk(w);
        crew_.share(chunks(w, each), static_cast<size_t>(w.n) * w.k * rows_, [&](int chunk) {
            by_rows([&](int first, int count) {
                part_product(w, chunk * each, each, a, first, count, x_.get(), m_.dim(), true);
            });
        });
    }

    // hidden = silu(w1 x) * w3 x
    void gate(const Layer& w) {
        // With one row as much of each matrix in turn as leaves all threads some chunks: the CPU's
        // prefetchers need a while to find a stream of reads.
        const int fair = std::max(1, blocks(w.w1) / (8 * crew_.threads()));
        const int each = std::min(rows_ > 1 ? blocks_per_chunk(w.w1, 2) : fair, max_gate_blocks);
        const size_t hidden = m_.hidden_dim;
        crew_.share(chunks(w.w1, each), 2 * hidden * m_.dim() * rows_, [&](int chunk) {
            const int outputs = std::min(each * block_outputs,
                                         m_.hidden_dim - chunk * each * block_outputs);
            alignas(64) float up[rows_at_once * max_gate_blocks * block_outputs];
            by_rows([&](int first, int count) {
                part_product(w.w1, chunk * each, each, normed_a_, first, count, hidden_.get(),
                             hidden, false);
                p_.product(w.w3, chunk * each, std::min(each, blocks(w.w3) - chunk * each),
                           normed_a_, first, count, up, outputs, false);
                for (int r = 0; r < count; r++)
                    r_.swiglu(hidden_.get() + (first + r) * hidden +
                                  static_cast<size_t>(chunk) * each * block_outputs,
                              up + static_cast<size_t>(r) * outputs, outputs);
            });
        });
    }

    static constexpr int max_gate_blocks = 8;

    // Logits of the wanted rows, a few at a time, and what is chosen from them.
    void choose(const Results& results) {
        for (size_t first = 0; first < wanted_.size(); first += head_rows) {
            const int n = static_cast<int>(std::min<size_t>(head_rows, wanted_.size() - first));
            head(&wanted_[first], n);
            if (results.logits)
                for (int i = 0; i < n; i++)
                    std::memcpy(results.logits + (done_ + i) * size_t(m_.known_ids),
                                logits_.get() + i * size_t(m_.output.n),
                                sizeof(float) * m_.known_ids);
            if (results.tokens) {
                const int parts = std::min(n, crew_.threads());
                crew_.share(parts, static_cast<size_t>(n) * m_.known_ids, [&](int part) {
                    for (int i = part; i < n; i += parts)
                        choose_one(*samplers_[part], wanted_[first + i], i, done_ + i, results);
                });
            }
            done_ += n;
        }
    }

    void head(const Wanted* wanted, int n) {
        const size_t dim = m_.dim();
        rows_ = n;
        normed_.need(n * dim);
        logits_.need(static_cast<size_t>(n) * m_.output.n);
        const bool prepare = packed(m_.output);
        normed_a_ = activations(normed_, dim, prepare);
        for (int i = 0; i < n; i++)
            r_.norm(x(wanted[i].row), m_.norm, m_.norm_eps, dim, normed_.get() + i * dim);
        if (prepare) p_.prepare(normed_a_, 0, n);
        const int each = blocks_per_chunk(m_.output);
        crew_.share(chunks(m_.output, each), static_cast<size_t>(m_.output.n) * dim * n, [&](int chunk) {
            part_product(m_.output, chunk * each, each, normed_a_, 0, n, logits_.get(), m_.output.n,
                         false);
        });
    }

    void choose_one(
        Sampler& sampler, const Wanted& wanted, int row, size_t at, const Results& results) const {
        const float* logits = logits_.get() + row * size_t(m_.output.n);
        const Request& request = *wanted.request;
        Sampling s = *request.sampling;
        // Guesses that came before count as the answer's tokens.
        s.n_history += wanted.token - (request.n_tokens - request.wanted);
        const size_t top = at * results.top_stride;
        results.outcomes[at] = sampler.choose(
            s, logits, r_.largest(logits, m_.known_ids), int64_t{request.start} + wanted.token + 1,
            results.tokens + at, results.logprobs + at, results.top_ids + top,
            results.top_logprobs + top);
    }

    float* x(int row) const { return x_.get() + row * size_t(m_.dim()); }

    const Model m_;
    const Products& p_;
    const Rows& r_;
    Crew crew_;
    Attend attend_;
    std::vector<Layer> layers_;
    std::vector<int> head_order_;  // query heads, then key heads with their values
    std::vector<std::unique_ptr<Sampler>> samplers_;
    size_t query_dim_, kv_dim_, qkv_dim_;
    Buffer x_, normed_, qkv_, attended_, hidden_, prepared_, logits_;
    // The slab under way.
    int rows_ = 0;
    size_t done_ = 0;
    std::vector<Piece> slab_;
    std::vector<Wanted> wanted_;
    Activations normed_a_{}, attended_a_{}, hidden_a_{};
};

}  // namespace paddock
