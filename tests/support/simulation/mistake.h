#pragma once

namespace teal::test {

/// What a plausible link, or its surroundings, get wrong. A simulation has to find each.
enum class Mistake {
  kNone,
  kAcknowledgesApplied,   ///< what is committed, and not yet flushed (I4)
  kAcknowledgesReceived,  ///< what has come off the wire (I4)
  kAppliesAgain,          ///< what is sent again, without looking at the progress row (A5, A7)
  kTakesEveryKeepalive,   ///< for an end of everything, also inside of a transaction (A8)
  kIdleOvertakesQueue,    ///< moves to the end of WAL while transactions are still queued (A8)
  kNeverIdle,             ///< leaves the slot where the last transaction was (A8)
  kTrustsItsCommit,       ///< takes a COMMIT in doubt for done, and goes on behind it (A10)
  kTrustsTheOrigin,       ///< takes the origin's position for what is there (A1)
  kReadsBeforeAcquiring,  ///< the progress row, while a backend of before may still commit (A11)
  kEndsBatchAnywhere,     ///< and not at a source commit (I3)
  kSkipsWhatIsRefused,    ///< without having been told to (F11)
  kMiscountsWhatIsKnown,  ///< counts as applied what was sent again (I2)
  kStaysInBrokenSession,  ///< takes the sink's failure for passing
  kIgnoresTheGap,         ///< streams from a slot that is beyond the progress row (I4)
  kDeafWhileApplying,     ///< answers nothing while the target holds it up (I8)
  kWaitsForRoom,          ///< reads no further for the one who waits for its observer
  kForgetsWhatWentAhead,  ///< answers for a transaction that it wrote ahead of its commit and has undone (I1)
  kForgetsWhatItLetGo,    ///< stays in the session in which something found no room (I1)
};

}  // namespace teal::test
