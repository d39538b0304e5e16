//! Judges lines on several threads. A slow item delays only the lines after it.

use std::any::Any;
use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::{Answer, Question, Questions, Summary, answer};
use crate::Verifier;

/// Lines per thread that are read before the lines before them are written, so that work continues behind a slow item.
const AHEAD: usize = 32;

enum Event {
    Read(Question),
    /// The answer to the line that was read at this position.
    Answered(usize, io::Result<Answer>),
    /// The reader has ended.
    End(io::Result<()>),
    Panicked(Box<dyn Any + Send>),
}

/// Like [`run`](super::run), on `threads` threads, with the same output. Each line is answered without waiting for the
/// next line.
pub fn run_in_parallel(
    verifier: &dyn Verifier,
    reader: impl BufRead + Send + 'static,
    mut writer: impl Write,
    threads: usize,
) -> io::Result<Summary> {
    let (sender, events) = channel();
    let (permits, permitted) = channel();
    let (questions, asked) = channel();
    let asked = Mutex::new(asked);
    // Spawned outside the scope: if writing fails, this thread may still wait for a line that never comes.
    let read_to = sender.clone();
    thread::spawn(move || read(reader, &permitted, &read_to));
    for _ in 0..AHEAD * threads {
        // Fails if the reader has already ended, which its own event reports.
        let _ = permits.send(());
    }
    thread::scope(|scope| {
        // Dropped when this closure ends, in any way. Then the threads end too.
        let questions = questions;
        for _ in 0..threads.max(1) {
            let (sender, asked) = (sender.clone(), &asked);
            thread::Builder::new()
                .spawn_scoped(scope, move || judge(verifier, asked, &sender))
                .map_err(|error| io::Error::new(error.kind(), format!("cannot start a thread: {error}")))?;
        }
        let mut summary = Summary::default();
        let (mut read, mut written) = (0, 0);
        let mut ended = false;
        let mut answers: BTreeMap<usize, Answer> = BTreeMap::new();
        while !(ended && written == read) {
            // Never fails, because a sender is kept here.
            let Ok(event) = events.recv() else { break };
            match event {
                Event::Read(question) => {
                    let _ = questions.send((read, question));
                    read += 1;
                }
                Event::Answered(place, answer) => {
                    answers.insert(place, answer?);
                }
                Event::End(result) => {
                    result?;
                    ended = true;
                }
                Event::Panicked(payload) => resume_unwind(payload),
            }
            while let Some(answer) = answers.remove(&written) {
                summary.write(&mut writer, &answer)?;
                written += 1;
                let _ = permits.send(());
            }
        }
        Ok(summary)
    })
}

/// Reads one line for each permit.
fn read(reader: impl BufRead, permitted: &Receiver<()>, events: &Sender<Event>) {
    let mut questions = Questions { reader, number: 0 };
    while permitted.recv().is_ok() {
        let event = match questions.next() {
            Some(Ok(question)) => Event::Read(question),
            Some(Err(error)) => Event::End(Err(error)),
            None => Event::End(Ok(())),
        };
        let is_last = matches!(event, Event::End(_));
        if events.send(event).is_err() || is_last {
            return;
        }
    }
}

/// Judges lines one at a time, always the next one that is waiting.
fn judge(verifier: &dyn Verifier, asked: &Mutex<Receiver<(usize, Question)>>, events: &Sender<Event>) {
    loop {
        let next = asked.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((place, question)) = next else { return };
        let event = match catch_unwind(AssertUnwindSafe(|| answer(verifier, &question))) {
            Ok(answer) => Event::Answered(place, answer),
            Err(payload) => Event::Panicked(payload),
        };
        let _ = events.send(event);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::time::Duration;

    use super::super::run;
    use super::*;
    use crate::{Item, Verdict};

    /// A verifier that takes as many milliseconds as the completion says.
    struct Slow;

    impl Verifier for Slow {
        fn verify(&self, item: &Item<'_>) -> Verdict {
            let milliseconds = item.completion.parse().expect("a number");
            thread::sleep(Duration::from_millis(milliseconds));
            Verdict::correct(item.completion, "slept")
        }
    }

    fn lines(count: u64) -> String {
        let line = |id: u64| match id % 5 {
            0 => "nonsense\n\n".to_owned(),
            rest => format!("{{\"id\": {id}, \"completion\": \"{}\"}}\n", 7 * id % 11 * rest),
        };
        (0..count).map(line).collect()
    }

    #[test]
    fn the_same_lines_come_out_on_any_number_of_threads() {
        let input = lines(60);
        let mut expected = Vec::new();
        let summary = run(&Slow, input.as_bytes(), &mut expected).unwrap();
        for threads in [1, 3, 16] {
            let mut found = Vec::new();
            let reader = Cursor::new(input.clone());
            assert_eq!(run_in_parallel(&Slow, reader, &mut found, threads).unwrap(), summary);
            assert_eq!(found, expected);
        }
        assert_eq!((summary.judged, summary.bad), (48, 12));
        let empty = run_in_parallel(&Slow, Cursor::new(""), Vec::new(), 4).unwrap();
        assert_eq!(empty, Summary::default());
    }

    #[test]
    fn a_line_is_answered_before_the_next_comes() {
        let (input, reader) = pipe();
        let (output, writer) = channel();
        thread::spawn(move || {
            struct Lines(Sender<Vec<u8>>);
            impl Write for Lines {
                fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                    self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
                    Ok(bytes.len())
                }
                fn flush(&mut self) -> io::Result<()> {
                    Ok(())
                }
            }
            run_in_parallel(&Slow, io::BufReader::new(reader), Lines(output), 4)
        });
        for _ in 0..20 {
            input.send(b"{\"completion\": \"0\"}\n".to_vec()).unwrap();
            assert!(writer.recv_timeout(Duration::from_secs(10)).is_ok());
        }
    }

    /// A reader that waits for data, and the sender of that data.
    fn pipe() -> (Sender<Vec<u8>>, impl io::Read + Send) {
        struct Sent(Receiver<Vec<u8>>);
        impl io::Read for Sent {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let Ok(bytes) = self.0.recv() else { return Ok(0) };
                buffer[..bytes.len()].copy_from_slice(&bytes);
                Ok(bytes.len())
            }
        }
        let (sender, receiver) = channel();
        (sender, Sent(receiver))
    }

    #[test]
    fn what_fails_ends_the_run() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (input, reader) = pipe();
        input.send(b"nonsense\n".to_vec()).unwrap();
        assert!(run_in_parallel(&Slow, io::BufReader::new(reader), Full, 4).is_err());
        let panicking = catch_unwind(|| {
            let input = Cursor::new("{\"completion\": \"no number\"}\n");
            run_in_parallel(&Slow, input, Vec::new(), 4)
        });
        assert!(panicking.is_err());
    }
}
