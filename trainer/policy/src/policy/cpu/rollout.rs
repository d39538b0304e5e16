//! Rollouts: threads take groups from a queue and decode one token of every live sample at a time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::decoder::{DecodeRow, Decoder};
use super::packed::Transformer;
use crate::kernels::flops_executed;
use crate::kernels::profile::{self, Part};
use crate::policy::rollout::{Completion, Limits, Request, Rollout, Writing};
use crate::policy::sampling::Sampling;

/// Maximum number of sequences that a thread decodes together: enough rows for an expert's product, but few enough that all
/// threads stay busy.
const ROWS: usize = 128;

/// Samples completions for every request, on all threads of the current pool. The result does not depend on their number.
pub(super) fn roll_out(
    policy: &Transformer,
    requests: &[Request<'_>],
    sampling: &Sampling,
    limits: &Limits,
    seed: u64,
) -> Rollout {
    let samples: usize = requests.iter().map(|request| request.samples).sum();
    let rows = samples.div_ceil(rayon::current_num_threads()).min(ROWS);
    let next = AtomicUsize::new(0);
    let parts = rayon::broadcast(|_| {
        let decoder = Decoder::new(policy, limits.max_new_tokens);
        let mut worker = Worker {
            decoder,
            requests,
            sampling,
            limits,
            seed,
            live: Vec::new(),
            open: BTreeMap::new(),
            rollout: Rollout::default(),
            groups: Vec::new(),
        };
        worker.run(&next, rows);
        (worker.groups, worker.rollout)
    });
    let mut whole = Rollout::default();
    let mut groups = Vec::with_capacity(requests.len());
    for (some, part) in parts {
        groups.extend(some);
        whole.prefill += part.prefill;
        whole.decode += part.decode;
    }
    groups.sort_by_key(|(request, _)| *request);
    whole.completions = groups.into_iter().map(|(_, group)| group).collect();
    whole
}

struct Live {
    request: usize,
    number: usize,
    group: usize,
    sample: usize,
    writing: Writing,
}

struct Open {
    group: usize,
    completions: Vec<Completion>,
    left: usize,
}

/// One thread's part of a rollout, in whole groups.
struct Worker<'a> {
    decoder: Decoder<'a>,
    requests: &'a [Request<'a>],
    sampling: &'a Sampling,
    limits: &'a Limits,
    seed: u64,
    live: Vec<Live>,
    open: BTreeMap<usize, Open>,
    /// The work; its completions stay empty.
    rollout: Rollout,
    /// The finished groups with the numbers of their requests.
    groups: Vec<(usize, Vec<Completion>)>,
}

impl Worker<'_> {
    fn run(&mut self, next: &AtomicUsize, most_rows: usize) {
        let _scope = profile::enter(Part::Other);
        loop {
            let mut taken = Vec::new();
            let mut rows = self.live.len();
            // A group larger than `most_rows` is taken when there are no other rows.
            while rows < most_rows {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(request) = self.requests.get(number) else { break };
                rows += request.samples;
                taken.push(number);
            }
            if !taken.is_empty() {
                self.prefill(&taken);
            }
            if self.live.is_empty() {
                break;
            }
            self.decode();
        }
    }

    /// Runs the prompts of these requests and draws the first token of each sample.
    fn prefill(&mut self, taken: &[usize]) {
        let started = flops_executed();
        let mut rows = Vec::new();
        let mut wanted = Vec::new();
        for &request in taken {
            let Request { prompt, samples, .. } = self.requests[request];
            let group = self.decoder.add_group(prompt.len());
            let completions = vec![Completion::default(); samples];
            self.open.insert(request, Open { group, completions, left: samples });
            let prompt = prompt.iter().enumerate();
            rows.extend(prompt.map(|(position, token)| DecodeRow {
                token: *token,
                position,
                group,
                sample: None,
            }));
            wanted.push(rows.len() - 1);
        }
        let logits = self.decoder.step(&rows, &wanted).to_vec();
        self.rollout.prefill.flops += flops_executed() - started;
        self.rollout.prefill.tokens += rows.len() as u64;
        let mut first_row = 0;
        for (&request, logits) in taken.iter().zip(logits.chunks_exact(logits.len() / taken.len())) {
            let Request { prompt, samples, .. } = self.requests[request];
            let prompt_rows = first_row..first_row + prompt.len();
            first_row = prompt_rows.end;
            let routes: Vec<u16> = prompt_rows.flat_map(|row| self.decoder.routes(row).to_vec()).collect();
            for number in 0..samples {
                let mut sample = Live {
                    request,
                    number,
                    group: self.open[&request].group,
                    sample: self.decoder.add_sample(),
                    writing: Writing::new(self.seed, &self.requests[request], number, routes.clone()),
                };
                sample.writing.extend(&mut logits.to_vec(), self.sampling, self.limits);
                self.live.push(sample);
            }
        }
        self.retire();
        for request in taken {
            if self.open.get(request).is_some_and(|open| open.left == 0) {
                self.close(*request);
            }
        }
    }

    fn decode(&mut self) {
        let started = flops_executed();
        let row = |live: &Live| {
            let Live { group, sample, writing, .. } = live;
            let tokens = &writing.completion.tokens;
            let token = *tokens.last().expect("a live sample has drawn a token");
            let position = self.requests[live.request].prompt.len() + tokens.len() - 1;
            DecodeRow { token, position, group: *group, sample: Some(*sample) }
        };
        let rows: Vec<DecodeRow> = self.live.iter().map(row).collect();
        let wanted: Vec<usize> = (0..rows.len()).collect();
        let logits = self.decoder.step(&rows, &wanted);
        let vocabulary = logits.len() / rows.len();
        for (sample, logits) in self.live.iter_mut().zip(logits.chunks_exact_mut(vocabulary)) {
            sample.writing.extend(logits, self.sampling, self.limits);
        }
        for (row, sample) in self.live.iter_mut().enumerate() {
            sample.writing.completion.routes.extend_from_slice(self.decoder.routes(row));
        }
        self.rollout.decode.flops += flops_executed() - started;
        self.retire();
    }

    fn retire(&mut self) {
        let over: Vec<Live> = self.live.extract_if(.., |one| one.writing.is_over(self.limits)).collect();
        for sample in over {
            self.decoder.remove_sample(sample.sample);
            self.rollout.decode.tokens += sample.writing.completion.tokens.len() as u64;
            let open =
                self.open.get_mut(&sample.request).expect("a group is open while a sample of it lives");
            open.completions[sample.number] = sample.writing.completion;
            open.left -= 1;
            if open.left == 0 {
                self.close(sample.request);
            }
        }
    }

    fn close(&mut self, request: usize) {
        if let Some(Open { group, completions, .. }) = self.open.remove(&request) {
            self.decoder.remove_group(group);
            self.groups.push((request, completions));
        }
    }
}
