// Attention of a step over the cache: cut into jobs for the threads, each one's blocks in order.
//
// A job is some query heads of a few consecutive positions of one request over one key/value head.
// Where there are fewer jobs than keep the threads busy, each is split by blocks of positions, whose
// results are kept apart; whoever finishes a job's last split merges them, in the order in which one
// thread would have: the bits are the same.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "attention.h"
#include "crew.h"
#include "model.h"

namespace paddock {

class Attend {
  public:
    Attend(const Model& model, const Rows& rows, Crew& crew) : m_(model), r_(rows), crew_(crew) {
        query_dim_ = static_cast<size_t>(m_.n_heads) * m_.head_dim();
        group_ = m_.n_heads / m_.n_kv_heads();
        parts_ = (group_ + max_queries - 1) / max_queries;
        part_heads_ = (group_ + parts_ - 1) / parts_;
    }

    // Lays out a step whose rows are `pieces`.
    void plan(const std::vector<Piece>& pieces) {
        tiles_.clear();
        int longest = 0;
        const int together = std::max(1, max_queries / part_heads_);
        seen_ = 0;
        for (const Piece& piece : pieces) {
            const int start = piece.request->start + piece.from;
            for (int t = 0; t < piece.count; t += together) {
                const int count = std::min(together, piece.count - t);
                tiles_.push_back({piece.request, piece.row + t, count, start + t});
            }
            longest = std::max(longest, start + piece.count);
            seen_ += static_cast<size_t>(piece.count) * (start + piece.count);
        }
        // The longest first: what is left over at the end is short.
        std::sort(tiles_.begin(), tiles_.end(), [](const Tile& a, const Tile& b) {
            return a.position + a.count > b.position + b.count;
        });
        const int whole = static_cast<int>(tiles_.size()) * m_.n_kv_heads() * parts_;
        const int n_blocks = (longest + attention_block - 1) / attention_block;
        blocks_ = n_blocks;
        splits_ = 1;
        if (crew_.threads() > 1 && whole < 4 * crew_.threads())
            splits_ = std::min(n_blocks, (4 * crew_.threads() + whole - 1) / whole);
        if (splits_ > 1) {
            partials_.need(static_cast<size_t>(whole) * n_blocks * max_queries * (m_.head_dim() + 2));
            if (left_.size() < static_cast<size_t>(whole))
                left_ = std::vector<std::atomic<int>>(4 * crew_.threads());
        }
    }

    // Attends in layer `l`: queries (rows, stride `qkv_dim`) at `qkv`, results at `attended`.
    void layer(int l, const float* qkv, size_t qkv_dim, float* attended) {
        qkv_ = qkv;
        qkv_dim_ = qkv_dim;
        attended_ = attended;
        const int whole = static_cast<int>(tiles_.size()) * m_.n_kv_heads() * parts_;
        if (splits_ > 1)
            for (int i = 0; i < whole; i++) left_[i].store(splits_, std::memory_order_relaxed);
        crew_.share(whole * splits_, 2 * seen_ * query_dim_,
                    [&](int chunk) { attend(l, chunk / splits_, chunk % splits_); });
    }

  private:
    // Rows that attend together: consecutive positions of one request.
    struct Tile {
        const Request* request;
        int row, count, position;
    };

    // What a chunk of attention works with: some query heads of a tile over one key/value head.
    struct Job {
        const Tile* tile;
        int kv, first_head, heads, queries;
        const float* query[max_queries];
        float* out[max_queries];
        int32_t seen[max_queries];  // positions, from 0 on
    };

    Job job(int i) const {
        Job j;
        const int part = i % parts_;
        j.kv = i / parts_ % m_.n_kv_heads();
        j.tile = &tiles_[i / parts_ / m_.n_kv_heads()];
        j.heads = std::min(part_heads_, group_ - part * part_heads_);
        j.first_head = j.kv * group_ + part * part_heads_;
        j.queries = 0;
        for (int t = 0; t < j.tile->count; t++) {
            for (int h = 0; h < j.heads; h++) {
                const int row = j.tile->row + t, head = j.first_head + h;
                j.query[j.queries] = qkv_ + row * qkv_dim_ + static_cast<size_t>(head) * m_.head_dim();
                j.out[j.queries] = attended_ + row * query_dim_ +
                                   static_cast<size_t>(head) * m_.head_dim();
                j.seen[j.queries++] = j.tile->position + t + 1;
            }
        }
        return j;
    }

    void attend(int l, int i, int split) {
        const Job j = job(i);
        const int n_blocks = (j.tile->position + j.tile->count + attention_block - 1) / attention_block;
        if (splits_ == 1) {
            float top[max_queries], total[max_queries];
            alignas(64) float sum[max_queries * max_head_dim];
            Partial partial = {top, total, sum};
            float best_top[max_queries], best_total[max_queries];
            for (int block = 0; block < n_blocks; block++) {
                attend_block(l, j, block, &partial);
                take(j, block, partial, best_top, best_total);
            }
            finish(j, best_total);
            return;
        }
        const int first = static_cast<int>(static_cast<int64_t>(blocks_) * split / splits_);
        const int end = static_cast<int>(static_cast<int64_t>(blocks_) * (split + 1) / splits_);
        for (int block = first; block < std::min(end, n_blocks); block++) {
            Partial partial = stored(i, block);
            attend_block(l, j, block, &partial);
        }
        // Whoever is last puts the blocks together, in their order.
        if (left_[i].fetch_sub(1, std::memory_order_acq_rel) != 1) return;
        float best_top[max_queries], best_total[max_queries];
        for (int block = 0; block < n_blocks; block++)
            take(j, block, stored(i, block), best_top, best_total);
        finish(j, best_total);
    }

    Partial stored(int i, int block) const {
        const size_t n = m_.head_dim();
        float* p = partials_.get() +
                   (static_cast<size_t>(i) * blocks_ + block) * max_queries * (n + 2);
        return {p, p + max_queries, p + 2 * max_queries};
    }

    void attend_block(int l, const Job& j, int block, Partial* out) const {
        const Cache& c = m_.cache;
        const int first = block * attention_block;
        const int end = std::min(first + attention_block, j.tile->position + j.tile->count);
        int32_t count[max_queries];
        for (int q = 0; q < j.queries; q++)
            count[q] = std::max(0, std::min(j.seen[q] - first, attention_block));
        const void *keys[attention_block / run], *values[attention_block / run];
        const float *key_scales[attention_block / run], *value_scales[attention_block / run];
        for (int p = first, r = 0; p < end; p += run, r++) {
            const int32_t page = j.tile->request->pages[p / c.page_size];
            const size_t offset = p % c.page_size;
            keys[r] = c.at(l, page, j.kv, 0, offset);
            values[r] = c.at(l, page, j.kv, 1, offset);
            if (c.format != CacheI8) continue;
            key_scales[r] = c.scale(l, page, j.kv, 0, offset);
            value_scales[r] = c.scale(l, page, j.kv, 1, offset);
        }
        const bool scaled = c.format == CacheI8;
        r_.attend({j.query, count, keys, values, scaled ? key_scales : nullptr,
                   scaled ? value_scales : nullptr, c.format, j.queries, c.head_dim},
                  out);
    }

    // Takes a block into the queries that see some of it; `out` holds their sums so far.
    void take(const Job& j, int block, const Partial& partial, float* top, float* total) const {
        const size_t n = m_.head_dim();
        for (int q = 0; q < j.queries; q++) {
            if (j.seen[q] <= block * attention_block) continue;
            if (block == 0) {
                top[q] = partial.top[q];
                total[q] = partial.total[q];
                std::memcpy(j.out[q], partial.sum + q * n, n * sizeof(float));
            } else {
                r_.merge(&top[q], &total[q], j.out[q], partial.top[q], partial.total[q],
                         partial.sum + q * n, n);
            }
        }
    }

    void finish(const Job& j, const float* total) const {
        const size_t n = m_.head_dim();
        for (int q = 0; q < j.queries; q++) {
            const float scale = 1.0f / total[q];
            for (size_t i = 0; i < n; i++) j.out[q][i] *= scale;
        }
    }

    const Model& m_;
    const Rows& r_;
    Crew& crew_;
    size_t query_dim_;
    int group_, parts_, part_heads_;  // query heads of a key head; how they are cut
    std::vector<Tile> tiles_;
    std::vector<std::atomic<int>> left_;  // splits of a job that are not done
    Buffer partials_;
    int splits_ = 1, blocks_ = 0;
    size_t seen_ = 0, qkv_dim_ = 0;
    const float* qkv_ = nullptr;
    float* attended_ = nullptr;
};

}  // namespace paddock
