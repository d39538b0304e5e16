use thinkling::kernels::matmul::*;
fn main(){
  for (m,k,n) in [(128usize,256usize,688usize),(128,256,256),(16,256,128),(4,256,128),(1,256,256),(128,64,128),(32,64,64),(5120,256,688)] {
    let x: Vec<f32> = (0..m*k).map(|i| (i%7) as f32).collect();
    let w: Vec<f32> = (0..n*k).map(|i| (i%5) as f32).collect();
    let mut p=Packed::default(); p.pack_transposed(&w,n,k);
    let mut y=vec![0f32;m*n]; let mut g=vec![0f32;n*k];
    let reps = (400_000_000/(m*k*n)).max(1);
    let mut best=f64::MAX; let mut bg=f64::MAX;
    for _ in 0..7 { let t=std::time::Instant::now(); for _ in 0..reps { p.product(&x,k,&mut y,n,m,false);} best=best.min(t.elapsed().as_secs_f64());
     let t=std::time::Instant::now(); for _ in 0..reps { add_outer(&y,n,&x,k,&mut g,(m,n,k)); } bg=bg.min(t.elapsed().as_secs_f64()); }
    let f=2.0*(m*k*n*reps) as f64/1e9;
    println!("{m} {k} {n}: own {:.0} outer-gemm {:.0} GFLOP/s", f/best, f/bg);
  }
}
